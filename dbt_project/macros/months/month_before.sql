{#
    The rows that a microbatch model wrote for the month before, to carry its state forward; none in the first month. `columns`
    maps each column to its type.

    dbt goes on with later batches after one has failed, so the model itself must refuse to build on a gap.
#}
{% macro month_before(month, columns) -%}
    {%- if month == first_month() -%}
        select
            {% for name, type in columns.items() -%}
                cast(null as {{ type }}) as {{ name }}{{ ',' if not loop.last }}
            {% endfor %}
        limit 0
    {%- else -%}
        {%- set before = month_after(month, -1) -%}
        {%- if execute and model.batch -%}
            {%- do require_month(this, before, month) -%}
        {%- endif -%}
        select
            {{ columns.keys() | join(', ') }}
        from {{ this }}
        where snapshot_month = date '{{ before }}'
    {%- endif -%}
{%- endmacro %}

{% macro require_month(relation, month, wanted_by) -%}
    {%- set exists = load_relation(relation) is not none -%}
    {%- set found = exists and run_query(
        "select 1 from " ~ relation ~ " where snapshot_month = date '" ~ month ~ "' limit 1"
    ) | length > 0 -%}
    {%- if not found -%}
        {%- do exceptions.raise_compiler_error(
            wanted_by[:7] ~ ' cannot be closed: ' ~ month[:7] ~ ' is not. Close the months in order, from '
            ~ first_month()[:7] ~ ', for example with: make build TO=' ~ wanted_by[:7]
        ) -%}
    {%- endif -%}
{%- endmacro %}
