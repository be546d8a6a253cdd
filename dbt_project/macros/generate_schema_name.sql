{# Schemas are public names (raw, staging, core, marts): no prefix. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ return(adapter.dispatch('schema_name')((custom_schema_name or target.schema) | trim)) }}
{%- endmacro %}

{% macro default__schema_name(name) -%}
    {{ return(name) }}
{%- endmacro %}

{# dbt works beside the schemas that readers see; what it built is shown to them after all tests have passed. #}
{% macro spark__schema_name(name) -%}
    {{ return('building_' ~ name) }}
{%- endmacro %}
