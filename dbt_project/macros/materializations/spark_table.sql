{# A table of its own for each run, and a view on it: a reader of the one before is not disturbed. #}
{% materialization table, adapter='spark' -%}
    {%- set stored = stored_relation(this, '__' ~ closed_by()) -%}
    {{ run_hooks(pre_hooks) }}
    {%- call statement('main') -%}
        create table {{ stored }} using parquet as
        {{ sql }}
    {%- endcall -%}
    {%- do run_query('create or replace view ' ~ this ~ ' as select * from ' ~ stored) -%}
    {{ run_hooks(post_hooks) }}
    {{ return({'relations': [this.incorporate(type='view')]}) }}
{%- endmaterialization %}

{#
    The few rows of a seed are in the text of a view: nothing is dropped and made anew. Those of a large one are in a table of its
    own for each run, since the smallest catalog, Derby, keeps 32,700 characters of a view.
#}
{% materialization seed, adapter='spark' -%}
    {%- set rows = load_agate_table() -%}
    {%- do store_result('agate_table', response='OK', agate_table=rows) -%}
    {{ run_hooks(pre_hooks) }}
    {%- set query = seed_query(rows) -%}
    {%- if query | length > 20000 -%}
        {%- set stored = stored_relation(this, '__' ~ closed_by()) -%}
        {%- do run_query('create table ' ~ stored ~ ' using parquet as ' ~ query) -%}
        {%- set query = 'select * from ' ~ stored -%}
    {%- endif -%}
    {%- call statement('main') -%}
        create or replace view {{ this }} as
        {{ query }}
    {%- endcall -%}
    {{ run_hooks(post_hooks) }}
    {{ return({'relations': [this.incorporate(type='view')]}) }}
{%- endmaterialization %}

{% macro seed_query(rows) -%}
    select
        {% for name in rows.column_names -%}
            cast({{ name }} as {{ adapter.convert_type(rows, loop.index0) }}) as {{ name }}{{ ',' if not loop.last }}
        {% endfor %}
    from values
        {% for row in rows.rows -%}
            ({% for value in row.values() -%}
                {{ text_literal(value | string) if value is not none else 'null' }}
                {{- ', ' if not loop.last }}
            {%- endfor %}){{ ',' if not loop.last }}
        {% endfor -%}
        as seed ({{ rows.column_names | join(', ') }})
{%- endmacro %}

{# Whether Spark makes Java code of the next queries of this session, or interprets them; nothing on other engines. #}
{% macro generate_code(is_wanted) -%}
    {{ 'set spark.sql.codegen.wholeStage=' ~ is_wanted | lower if target.type == 'spark' }}
{%- endmacro %}
