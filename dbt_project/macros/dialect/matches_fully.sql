{# Condition: the whole text matches a regular expression (RE2 syntax); null for null. #}
{% macro matches_fully(text, pattern) -%}
    {{ return(adapter.dispatch('matches_fully')(text, pattern)) }}
{%- endmacro %}

{% macro duckdb__matches_fully(text, pattern) -%}
    regexp_full_match({{ text }}, '{{ pattern.replace("'", "''") }}')
{%- endmacro %}
