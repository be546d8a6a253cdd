{#
    A microbatch model on DuckDB: each batch is a Parquet file that never changes, and the relation is a view over the files
    that count. They lie beside the warehouse file, which so stays small, whatever the history. Other incremental models are
    tables, as dbt-duckdb makes them.
#}
{% materialization incremental, adapter='duckdb', supported_languages=['sql', 'python'] %}
    {%- if config.get('incremental_strategy') != 'microbatch' -%}
        {{ return(dbt.materialization_incremental_duckdb()) }}
    {%- endif -%}
    {%- set existing = load_cached_relation(this) -%}
    {%- set target = this.incorporate(type='view') -%}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {%- do prepare_month_files(existing) -%}
    {%- set batch = duckdb__dispatch_temporary_relation(target).relation -%}
    {%- do run_query(create_table_as(True, batch, compiled_code)) -%}
    {%- set columns = adapter.get_columns_in_relation(batch) -%}
    {%- set are_mixed = has_other_fill_flags(batch, existing) -%}
    {%- do write_month_file(batch) -%}
    {%- call statement('main') -%}
        {{ view_over_month_files(target, columns, are_mixed) }}
    {%- endcall -%}

    {%- do apply_grants(target, config.get('grants'), should_revoke=False) -%}
    {%- do persist_docs(target, model) -%}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {%- do adapter.commit() -%}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [target]}) }}
{% endmaterialization %}

{# The book of the files: `ops.month_files`, one row per file that counts. A full refresh begins with an empty one. #}
{% macro prepare_month_files(existing) -%}
    {%- if existing is not none and existing.is_table -%}
        {%- do exceptions.raise_compiler_error(
            existing.include(database=false) ~ ' is a table, as an earlier version of Bathtub wrote it. Start a new warehouse: '
            ~ 'another BATHTUB_WAREHOUSE, or make clean-data.'
        ) -%}
    {%- endif -%}
    {%- call statement('prepare_month_files') -%}
        create schema if not exists ops;
        create table if not exists ops.month_files (model varchar, snapshot_month date, folder varchar, file varchar);
        {%- if should_full_refresh() %}
        delete from ops.month_files where model = '{{ this.identifier }}';
        {%- endif %}
    {%- endcall -%}
{%- endmacro %}

{#
    Closed months keep their columns: a batch with others is refused. Fill flags may differ: the answer is then true, and the view
    puts null in the place of those that a month lacks.
#}
{% macro has_other_fill_flags(batch, existing) -%}
    {%- if existing is none or should_full_refresh() -%}
        {{ return(false) }}
    {%- endif -%}
    {%- set changes = check_for_schema_changes(batch, existing) -%}
    {%- set words = [] -%}
    {%- for word, columns in {'new': changes.source_not_in_target, 'gone': changes.target_not_in_source}.items() -%}
        {%- set names = without_fill_flags(columns | map(attribute='name')) -%}
        {%- if names -%}
            {%- do words.append(word ~ ': ' ~ names | join(', ')) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- for column in changes.new_target_types -%}
        {%- do words.append('another type: ' ~ column.column_name) -%}
    {%- endfor -%}
    {%- if words -%}
        {%- do exceptions.raise_compiler_error(
            'the closed months have other columns than this run (' ~ words | join('; ') ~ '). Undo the change of channels, or start '
            ~ 'a new warehouse: another BATHTUB_WAREHOUSE'
        ) -%}
    {%- endif -%}
    {{ return(changes.schema_changed or has_mixed_files(existing)) }}
{%- endmacro %}

{# Once files differ, the view says so. #}
{% macro has_mixed_files(view) -%}
    {{ return(run_query(
        "select 1 from duckdb_views() where schema_name = '" ~ view.schema ~ "' and view_name = '" ~ view.identifier
        ~ "' and database_name = '" ~ view.database ~ "' and contains(sql, 'union_by_name')"
    ) | length > 0) }}
{%- endmacro %}

{# Write the batch to a file of its own, in the folder of its month, and enter it in the book in place of the one before. #}
{% macro write_month_file(batch) -%}
    {%- set time = config.get('event_time') -%}
    {%- set month = model.batch.event_time_start.strftime('%Y-%m-%d') -%}
    {%- set next = model.batch.event_time_end.strftime('%Y-%m-%d') -%}
    {%- set folder = month_files_folder() -%}
    {%- set written = run_query(
        "copy (select * exclude (" ~ time ~ ") from " ~ batch ~ " where " ~ time ~ " >= date '" ~ month ~ "' and " ~ time
        ~ " < date '" ~ next ~ "') to '" ~ folder ~ "/" ~ time ~ "=" ~ month ~ "' (format parquet, compression zstd, "
        ~ "compression_level 1, file_size_bytes '1TB', append, filename_pattern '" ~ this.identifier ~ "_{uuid}', return_files)"
    ) -%}
    {%- set key = "model = '" ~ this.identifier ~ "' and snapshot_month = date '" ~ month ~ "'" -%}
    {%- call statement('enter_month_file') -%}
        delete from ops.month_files where model = '{{ this.identifier }}' and snapshot_month = date '{{ month }}';
        {%- for path in fromjson(written.columns[1].values()[0]) %}
        insert into ops.month_files values
        ('{{ this.identifier }}', date '{{ month }}', '{{ folder }}', '{{ path.replace("'", "''")[folder | length + 1:] }}');
        {%- endfor %}
    {%- endcall -%}
{%- endmacro %}

{# Where the files have the same columns, DuckDB opens those of the months asked for, else all, to compare their columns. #}
{% macro view_over_month_files(relation, columns, are_mixed) -%}
    {%- set files = run_query(
        "select folder || '/' || file from ops.month_files where model = '" ~ this.identifier ~ "' order by snapshot_month"
    ).columns[0].values() -%}
    create or replace view {{ relation }} as
    select {{ columns | map(attribute='quoted') | join(', ') }}
    from read_parquet(
        [{% for file in files %}'{{ file.replace("'", "''") }}'{{ ', ' if not loop.last }}{% endfor %}],
        hive_partitioning = true, hive_types = {'{{ config.get('event_time') }}': date}
        {{- ', union_by_name = true' if are_mixed }}
    )
{%- endmacro %}

{# Folder of the files, for a text literal: beside the warehouse file, or where the orchestrator says. #}
{% macro month_files_folder() -%}
    {{ return(env_var('BATHTUB_DBT_MONTHS', target.path ~ '.months').replace("'", "''")) }}
{%- endmacro %}
