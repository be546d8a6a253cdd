{#
    Condition: a text has the form of a country's postal codes, blanks at both ends and case apart. One regular expression for
    all countries, compiled once and read once per row; countries of one form stand together in it.
#}
{% macro is_postal_code(postal_code, country) -%}
    {%- set alternatives = [] -%}
    {%- for pattern, countries in postal_forms().items() | groupby(1) -%}
        {%- do alternatives.append('(?:' ~ countries | map('first') | join('|') ~ '):' ~ blank_pattern() ~ '*(?:' ~ pattern ~ ')') -%}
    {%- endfor -%}
    {{ matches_fully(country ~ " || ':' || " ~ postal_code, '(?is)(?:' ~ alternatives | join('|') ~ ')' ~ blank_pattern() ~ '*') }}
{%- endmacro %}

{# Condition: the form of a country's postal codes is known. #}
{% macro has_known_postal_form(country) -%}
    {{ country }} in ({{ quoted_list(postal_forms()) | upper }})
{%- endmacro %}
