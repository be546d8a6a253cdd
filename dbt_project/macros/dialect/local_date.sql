{# Local calendar date, in the reporting zone unless told otherwise, of a UTC timestamp. #}
{% macro local_date(timestamp, zone=none) -%}
    {{ return(adapter.dispatch('local_date')(timestamp, zone or var('reporting_timezone'))) }}
{%- endmacro %}

{% macro duckdb__local_date(timestamp, zone) -%}
    cast(timezone('{{ zone }}', timezone('UTC', {{ timestamp }})) as date)
{%- endmacro %}

{# The timestamp has the session's zone, which is UTC. #}
{% macro spark__local_date(timestamp, zone) -%}
    cast(from_utc_timestamp({{ timestamp }}, '{{ zone }}') as date)
{%- endmacro %}
