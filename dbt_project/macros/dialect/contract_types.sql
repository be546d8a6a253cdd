{# The types of the contracts in words of BigQuery, which dbt-bigquery takes as they are written. #}
{% macro bigquery__type_bigint() -%}
    int64
{%- endmacro %}

{# The type that contracts call double. #}
{% macro type_double() -%}
    {{ return(adapter.dispatch('type_double')()) }}
{%- endmacro %}

{% macro default__type_double() -%}
    double
{%- endmacro %}

{% macro bigquery__type_double() -%}
    float64
{%- endmacro %}

{% macro bigquery__contract_columns(columns) -%}
    {%- set words = {'bigint': dbt.type_bigint(), 'double': type_double(), 'boolean': 'bool'} -%}
    {%- set translated = {} -%}
    {%- for name, column in columns.items() -%}
        {%- do translated.update({name: dict(column, data_type=words.get(column.data_type, column.data_type))}) -%}
    {%- endfor -%}
    {{ return(translated) }}
{%- endmacro %}

{% macro bigquery__get_empty_schema_sql(columns) -%}
    {{ return(dbt.bigquery__get_empty_schema_sql(bigquery__contract_columns(columns))) }}
{%- endmacro %}

{% macro bigquery__get_table_columns_and_constraints() -%}
    {%- set columns = bigquery__contract_columns(model['columns']) -%}
    ({{ adapter.render_raw_columns_constraints(raw_columns=columns) | join(', ') }})
{%- endmacro %}
