{# A date some days later. #}
{% macro date_plus_days(date, days) -%}
    {{ return(adapter.dispatch('date_plus_days')(date, days)) }}
{%- endmacro %}

{% macro duckdb__date_plus_days(date, days) -%}
    ({{ date }} + {{ days }})
{%- endmacro %}

{% macro spark__date_plus_days(date, days) -%}
    date_add({{ date }}, {{ days }})
{%- endmacro %}
