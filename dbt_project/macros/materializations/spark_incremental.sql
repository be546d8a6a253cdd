{#
    Month by month: the rows of the run's months go into new partitions, and the relation is a view on the partitions that
    count. A month without rows has no partition, and is empty. What an earlier run wrote is not touched.
#}
{% materialization incremental, adapter='spark' -%}
    {%- set stored = stored_relation(this) -%}
    {{ run_hooks(pre_hooks) }}
    {%- if closing_month() == months_of_run().first -%}
        {%- set columns = columns_of_query(sql) -%}
        {%- do require_contract(columns) -%}
        {%- if load_relation(stored) is none -%}
            {%- do run_query(create_stored_months(stored, columns)) -%}
            {%- do adapter.cache_added(stored) -%}
        {%- else -%}
            {%- do follow_columns(stored, columns) -%}
        {%- endif -%}
        {%- do run_query(create_view_on_months(this, stored, columns)) -%}
    {%- else -%}
        {#- A later batch of the same query: resolving it once is enough, and the view has its columns. -#}
        {%- set columns = stored_columns(this) -%}
    {%- endif -%}
    {%- set rest = columns.keys() | reject('equalto', 'snapshot_month') | join(', ') -%}
    {%- call statement('main') -%}
        insert into {{ stored }} ({{ rest }}, month, closed_by)
        select
            {{ rest }},
            cast(snapshot_month as string) as month,
            '{{ closed_by() }}' as closed_by
        from (
            {{ sql }}
        )
    {%- endcall -%}
    {{ run_hooks(post_hooks) }}
    {{ return({'relations': [this.incorporate(type='view')]}) }}
{%- endmaterialization %}

{# The month is kept as text: the smallest catalog, Derby, cannot find partitions by a date and a text. #}
{% macro create_stored_months(stored, columns) -%}
    {%- set rest = columns.copy() -%}
    {%- do rest.pop('snapshot_month') -%}
    create table if not exists {{ stored }} ({{ names_and_types(rest) }}, month string, closed_by string)
    using parquet
    partitioned by (month, closed_by)
{%- endmacro %}

{% macro create_view_on_months(relation, stored, columns) -%}
    create or replace view {{ relation }} as
    select
        {% for name in columns -%}
            {{ 'cast(month as date) as snapshot_month' if name == 'snapshot_month' else name }}{{ ',' if not loop.last }}
        {% endfor %}
    from {{ stored }}
    where (cast(month as date), closed_by) in (select snapshot_month, closed_by from building_ops.published_months)
{%- endmacro %}
