{# First month of the base, 'YYYY-MM-01': the var, or the first month with an activity that the ingest found. #}
{% macro first_month() -%}
    {%- set found = warehouse_fact('first_month') -%}
    {%- set wanted = var('first_month') -%}
    {#- Months before any activity have nothing to tell. -#}
    {%- if wanted and (not found or (wanted | string)[:7] >= found[:7]) -%}
        {{ return((wanted | string)[:7] ~ '-01') }}
    {%- endif -%}
    {{ return(found or '0001-01-01') }}
{%- endmacro %}

{# Rows loaded up to then came with the initial history: 'YYYY-MM-DD HH:MM:SS', UTC. #}
{% macro history_loaded_until() -%}
    {{ return(var('history_loaded_until') or warehouse_fact('history_loaded_until') or '9999-12-31 00:00:00') }}
{%- endmacro %}

{% macro warehouse_fact(column) -%}
    {%- if execute and flags.WHICH in ('run', 'build') -%}
        {%- set rows = run_query('select ' ~ column ~ ' from ' ~ source('ops', 'warehouse')) -%}
        {{ return(rows.columns[0].values()[0] | string if rows | length and rows.columns[0].values()[0] else none) }}
    {%- endif -%}
    {{ return(none) }}
{%- endmacro %}
