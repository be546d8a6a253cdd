{# The country, ISO 3166-1 alpha-2, of numbers and addresses that do not say theirs. #}
{% macro default_region() -%}
    {{ return(var('phone_regions')[0]) }}
{%- endmacro %}
