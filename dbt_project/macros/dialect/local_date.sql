{# Local calendar date, in the reporting zone, of a UTC timestamp. #}
{% macro local_date(timestamp) -%}
    {{ return(adapter.dispatch('local_date')(timestamp)) }}
{%- endmacro %}

{% macro duckdb__local_date(timestamp) -%}
    cast(timezone('{{ var("reporting_timezone") }}', timezone('UTC', {{ timestamp }})) as date)
{%- endmacro %}

{% macro spark__local_date(timestamp) -%}
    cast(from_utc_timestamp({{ timestamp }}, '{{ var("reporting_timezone") }}') as date)
{%- endmacro %}
