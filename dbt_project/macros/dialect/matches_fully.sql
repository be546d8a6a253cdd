{# Condition: the whole text matches a regular expression (what RE2 and Java understand alike); null for null. #}
{% macro matches_fully(text, pattern) -%}
    {{ return(adapter.dispatch('matches_fully')(text, pattern)) }}
{%- endmacro %}

{% macro duckdb__matches_fully(text, pattern) -%}
    regexp_full_match({{ text }}, {{ text_literal(pattern) }})
{%- endmacro %}

{#
    Without case (`(?i)`), Java leaves letters beyond ASCII alone unless told so (`u`), and then takes the Turkish İ and ı for i,
    which RE2 does not: two characters for private use, which have no case, stand for them.
#}
{% macro spark__matches_fully(text, pattern) -%}
    {%- set pattern = "\\A(?u:" ~ pattern.replace('İ', '\ue000').replace('ı', '\ue001') ~ ")\\z" -%}
    translate({{ text }}, 'İı', '\ue000\ue001') rlike {{ text_literal(pattern) }}
{%- endmacro %}
