{# First month of the base, 'YYYY-MM-01', as recorded in the warehouse; outside a close, the var. #}
{% macro first_month() -%}
    {{ return((warehouse_fact('first_month') or var('first_month') or '1000-01')[:7] ~ '-01') }}
{%- endmacro %}

{# Rows loaded up to then came with the initial history: 'YYYY-MM-DD HH:MM:SS', UTC. #}
{% macro history_loaded_until() -%}
    {{ return(var('history_loaded_until') or warehouse_fact('history_loaded_until') or '9000-01-01 00:00:00') }}
{%- endmacro %}

{#
    When the base was first observed, by the first ingest: 'YYYY-MM-DD HH:MM:SS', UTC; outside a close, the var. To say that older
    rows came on time, as the var does, does not make the fields of older months known.
#}
{% macro first_observation() -%}
    {{ return(
        (warehouse_fact('history_loaded_until') or var('history_loaded_until') or '9000-01-01 00:00:00') | string
    ) }}
{%- endmacro %}

{% macro warehouse_fact(column) -%}
    {%- if execute and flags.WHICH in ('run', 'build') -%}
        {%- set rows = run_query('select ' ~ column ~ ' from ' ~ source('ops', 'warehouse')) -%}
        {{ return(rows.columns[0].values()[0] | string if rows | length and rows.columns[0].values()[0] else none) }}
    {%- endif -%}
    {{ return(none) }}
{%- endmacro %}

{# Whether a relation has rows, asked when a close compiles a model; outside a close, it may. #}
{% macro has_rows(relation) -%}
    {%- if execute and flags.WHICH in ('run', 'build') -%}
        {{ return(run_query('select 1 from ' ~ relation ~ ' limit 1') | length > 0) }}
    {%- endif -%}
    {{ return(true) }}
{%- endmacro %}
