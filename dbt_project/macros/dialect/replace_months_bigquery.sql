{#
    dbt-bigquery knows three incremental strategies by name. The two that this project uses replace months, and they do it in
    one statement: its MERGE that replaces partitions, which readers see done or not done. It is told which months, so that a
    month without rows becomes empty too.
#}
{% macro dbt_bigquery_validate_get_incremental_strategy(config) -%}
    {%- if config.get('incremental_strategy') == 'replace_months' -%}
        {{ return('replace_months') }}
    {%- endif -%}
    {{ return(dbt.dbt_bigquery_validate_get_incremental_strategy(config)) }}
{%- endmacro %}

{% macro bq_generate_incremental_build_sql(
    strategy, tmp_relation, target_relation, sql, unique_key, partition_by, partitions, dest_columns, tmp_relation_exists,
    copy_partitions, incremental_predicates
) -%}
    {%- set months = months_to_replace() -%}
    {%- set predicates = [
        "DBT_INTERNAL_DEST.snapshot_month >= date '" ~ months.first ~ "'",
        "DBT_INTERNAL_DEST.snapshot_month < date '" ~ months.next ~ "'",
    ] -%}
    {%- set rows = '(select * from ' ~ tmp_relation ~ ')' if tmp_relation_exists else '(' ~ sql ~ ')' -%}
    {{ return(get_insert_overwrite_merge_sql(target_relation, rows, dest_columns, predicates)) }}
{%- endmacro %}

{# The months that a model writes: its batch in a microbatch model, else those of the run. #}
{% macro months_to_replace() -%}
    {%- if model.batch -%}
        {{ return({'first': closing_month(), 'next': month_after(closing_month())}) }}
    {%- endif -%}
    {{ return(months_of_run()) }}
{%- endmacro %}
