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

{#
    The ranges of months that were restated: [{'first': 'YYYY-MM-01', 'next': 'YYYY-MM-01' (exclusive), 'restated_at': 'YYYY-MM-DD
    HH:MM:SS', UTC}]. None outside a close, nor where nothing was ever restated.
#}
{% macro restated_ranges() -%}
    {%- set ranges = [] -%}
    {%- set book = load_relation(source('ops', 'restated_ranges')) if execute and flags.WHICH in ('run', 'build') -%}
    {%- if book -%}
        {%- for row in run_query('select from_month, next_month, restated_at from ' ~ book) -%}
            {%- do ranges.append({
                'first': (row[0] | string)[:10], 'next': (row[1] | string)[:10], 'restated_at': (row[2] | string)[:26],
            }) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(ranges) }}
{%- endmacro %}

{# The rows of a table that the orchestrator keeps in `ops`; none where it keeps no such table. `columns` maps each to its type. #}
{% macro ops_rows(table, columns) -%}
    {%- set book = load_relation(source('ops', table)) if execute and flags.WHICH in ('run', 'build') -%}
    {%- if book -%}
        select
            {% for name, type in columns.items() -%}
                cast({{ name }} as {{ type }}) as {{ name }}{{ ',' if not loop.last }}
            {% endfor -%}
        from {{ book }}
    {%- else -%}
        select
            {% for name, type in columns.items() -%}
                cast(null as {{ type }}) as {{ name }}{{ ',' if not loop.last }}
            {% endfor -%}
        limit 0
    {%- endif -%}
{%- endmacro %}
