{# First day of the month of a date. #}
{% macro month_start(date) -%}
    {{ return(adapter.dispatch('month_start')(date)) }}
{%- endmacro %}

{% macro duckdb__month_start(date) -%}
    cast(date_trunc('month', {{ date }}) as date)
{%- endmacro %}

{% macro spark__month_start(date) -%}
    trunc({{ date }}, 'month')
{%- endmacro %}

{% macro bigquery__month_start(date) -%}
    cast(date_trunc({{ date }}, month) as date)
{%- endmacro %}
