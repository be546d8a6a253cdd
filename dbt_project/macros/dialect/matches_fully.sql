{# Condition: the whole text matches a regular expression (what RE2 and Java understand alike); null for null. #}
{% macro matches_fully(text, pattern) -%}
    {{ return(adapter.dispatch('matches_fully')(text, pattern)) }}
{%- endmacro %}

{% macro duckdb__matches_fully(text, pattern) -%}
    regexp_full_match({{ text }}, {{ text_literal(pattern) }})
{%- endmacro %}

{#
    Without case (`(?i)`), Java leaves letters beyond ASCII alone unless told so (`u`), and then takes the Turkish İ and ı for i,
    which RE2 does not: two rare letters without case (ǀ, ǁ) stand for them.
#}
{% macro spark__matches_fully(text, pattern) -%}
    {%- if '(?i' in pattern -%}
        {%- set pattern = "\\A(?u:" ~ pattern.replace('İ', '\u01c0').replace('ı', '\u01c1') ~ ")\\z" -%}
        translate({{ text }}, 'İı', '\u01c0\u01c1') rlike {{ text_literal(pattern) }}
    {%- else -%}
        {{ text }} rlike {{ text_literal("\\A(?:" ~ pattern ~ ")\\z") }}
    {%- endif -%}
{%- endmacro %}

{# A raw string keeps backslashes and `\'`, which RE2 reads as a quote. #}
{% macro bigquery__matches_fully(text, pattern) -%}
    regexp_contains({{ text }}, r'^(?:{{ pattern.replace("'", "\\'") }})$')
{%- endmacro %}
