{# Incremental strategy `replace_months`: the months of the run are deleted and inserted anew, empty ones too. #}
{% macro get_incremental_replace_months_sql(arg_dict) -%}
    {%- set columns = get_quoted_csv(arg_dict['dest_columns'] | map(attribute='name')) -%}
    delete from {{ arg_dict['target_relation'] }}
    where {{ in_months_of_run() }};

    insert into {{ arg_dict['target_relation'] }} ({{ columns }})
    select {{ columns }} from {{ arg_dict['temp_relation'] }}
{%- endmacro %}

{# Condition: the row belongs to a month that this run closes. #}
{% macro in_months_of_run(column='snapshot_month') -%}
    {%- set months = months_of_run() -%}
    {{ column }} >= date '{{ months.first }}' and {{ column }} < date '{{ months.next }}'
{%- endmacro %}

{# The same, with the `n` months before them. #}
{% macro in_months_of_run_and(n, column='snapshot_month') -%}
    {%- set months = months_of_run() -%}
    {{ column }} >= date '{{ month_after(months.first, -n) }}' and {{ column }} < date '{{ months.next }}'
{%- endmacro %}
