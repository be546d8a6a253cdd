{#
    On Spark, rows are kept in the schema `storage`, in partitions that are written once: each run adds its own, marked by its
    name in `closed_by`. dbt's relations are views on the partitions that count for this run; readers have views of their own
    on those that are published (orchestration/spark/publication.py).
#}

{# Name of this run, unique for each attempt. #}
{% macro closed_by() -%}
    {{ return(run_query('select closed_by from building_ops.this_run').columns[0].values()[0]) }}
{%- endmacro %}

{% macro stored_relation(relation, suffix='') -%}
    {{ return(api.Relation.create(
        schema='storage', identifier=relation.schema[9:] ~ '__' ~ relation.identifier ~ suffix, type='table'
    )) }}
{%- endmacro %}

{# Columns of a query as {name: type}; the engine resolves the query and reads no row. #}
{% macro columns_of_query(sql) -%}
    {%- set columns = {} -%}
    {%- for row in run_query('describe query ' ~ sql).rows -%}
        {%- do columns.update({row[0]: row[1]}) -%}
    {%- endfor -%}
    {{ return(columns) }}
{%- endmacro %}

{# Stops when columns differ from the contract of the model, if it has one. #}
{% macro require_contract(columns) -%}
    {%- if config.get('contract').enforced -%}
        {%- set promised = {} -%}
        {%- for column in model.columns.values() -%}
            {%- do promised.update({column.name: column.data_type}) -%}
        {%- endfor -%}
        {%- if promised != columns -%}
            {%- do exceptions.raise_compiler_error(
                'The columns of the query are ' ~ columns ~ ', its contract promises ' ~ promised ~ '.'
            ) -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{# Columns of the model whose months are stored, as {name: type}. #}
{% macro stored_columns(stored) -%}
    {%- set columns = {'snapshot_month': 'date'} -%}
    {%- for column in adapter.get_columns_in_relation(stored) if column.name not in ('month', 'closed_by') -%}
        {%- do columns.update({column.name: column.dtype}) -%}
    {%- endfor -%}
    {{ return(columns) }}
{%- endmacro %}

{# Adds the fill flags that are not stored yet. Stops when closed months were stored with other columns besides. #}
{% macro follow_columns(stored, columns) -%}
    {%- set known = stored_columns(stored) -%}
    {%- set new, others = {}, [] -%}
    {%- for name, type in columns.items() if known.get(name) != type -%}
        {%- do new.update({name: type}) if name not in known else others.append(name) -%}
    {%- endfor -%}
    {%- do others.extend(without_fill_flags(new)) -%}
    {%- do others.extend(without_fill_flags(known.keys() | reject('in', columns))) -%}
    {%- if others -%}
        {%- do exceptions.raise_compiler_error(
            'The closed months have other columns than this run (' ~ others | join(', ')
            ~ '). Undo the change of channels, or start anew on an empty cluster.'
        ) -%}
    {%- endif -%}
    {%- if new -%}
        {%- do run_query('alter table ' ~ stored ~ ' add columns (' ~ names_and_types(new) ~ ')') -%}
    {%- endif -%}
{%- endmacro %}

{% macro names_and_types(columns) -%}
    {%- for name, type in columns.items() -%}
        {{ name }} {{ type }}{{ ', ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}
