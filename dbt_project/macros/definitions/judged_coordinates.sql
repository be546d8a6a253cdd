{#
    What was judged before and need not be judged again (models/intermediate/coordinates). On DuckDB it is kept from close to
    close; elsewhere each run judges everything, on as many machines as there are.
#}

{# The table of what was judged before, in the warehouse as it is when the run begins; empty without one, or if all is to be built anew. #}
{% macro judged_coordinates() -%}
    {%- if execute and target.type == 'duckdb' and not flags.FULL_REFRESH -%}
        {{ return(load_cached_relation(api.Relation.create(
            database=target.database, schema=model.schema, identifier='int_judged_coordinates'
        )) or '') }}
    {%- endif -%}
    {{ return('') }}
{%- endmacro %}

{# Texts in one, so that different ones never give the same: each after its length. #}
{% macro all_written(columns) -%}
    {%- set parts = [] -%}
    {%- for column in columns -%}
        {%- do parts.extend([
            "coalesce(cast(length(" ~ column ~ ") as " ~ dbt.type_string() ~ "), '')", "':'", "coalesce(" ~ column ~ ", '')"
        ]) -%}
    {%- endfor -%}
    {{ return('concat(' ~ parts | join(', ') ~ ')') }}
{%- endmacro %}

{#
    Hash of the rules: of the SQL that judges, in which macros, vars and generated plans are written out, and of the domains that
    it looks up.
#}
{% macro rules_hash() -%}
    {{ return(adapter.dispatch('rules_hash')()) }}
{%- endmacro %}

{% macro default__rules_hash() -%}
    {{ return("'judged in each run'") }}
{%- endmacro %}

{% macro duckdb__rules_hash() -%}
    {%- if not execute -%}
        {{ return("''") }}
    {%- endif -%}
    {%- set rules = ['int_emails', 'int_phone_numbers', 'int_phones', 'int_addresses'] -%}
    {%- set found = run_query(
        "select md5(string_agg(sql, ';' order by view_name)) from duckdb_views() where database_name = '" ~ this.database
        ~ "' and schema_name = '" ~ this.schema ~ "' and view_name in (" ~ quoted_list(rules) ~ ")"
    ).columns[0].values()[0] -%}
    {%- set seed = graph.nodes['seed.' ~ project_name ~ '.disposable_domains'] -%}
    {{ return("'" ~ local_md5([found, seed.checksum.checksum, model.checksum.checksum] | join(';')) ~ "'") }}
{%- endmacro %}

{#
    Before the run judges: take away what profiles that are gone had, and what was judged by other rules, which is to be judged too.
    Those rules are known here only, since they are the SQL of models that read what is to be judged.
#}
{% macro forget_judgements(written, to_judge) -%}
    {%- if execute and target.type == 'duckdb' and load_cached_relation(this) -%}
        delete from {{ this }}
        where
            rules_hash <> {{ rules_hash() }}
            or not exists (select 1 from {{ written }} as written where written.customer_id = {{ this.identifier }}.customer_id);

        insert into {{ to_judge }}
        select written.*
        from {{ written }} as written
        where
            not exists (select 1 from {{ this }} as judged where judged.customer_id = written.customer_id)
            and not exists (select 1 from {{ to_judge }} as listed where listed.customer_id = written.customer_id)
    {%- endif -%}
{%- endmacro %}
