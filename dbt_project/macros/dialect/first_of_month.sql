{# The first day of a date's month. #}
{% macro first_of_month(date) -%}
    {{ return(adapter.dispatch('first_of_month')(date)) }}
{%- endmacro %}

{% macro duckdb__first_of_month(date) -%}
    date_trunc('month', {{ date }})
{%- endmacro %}

{% macro spark__first_of_month(date) -%}
    trunc({{ date }}, 'month')
{%- endmacro %}
