{# Sum of a count over the rows that meet a condition, 0 without any, as a whole number. #}
{% macro sum_where(measure, condition) -%}
    cast(sum(case when {{ condition }} then {{ measure }} else 0 end) as {{ dbt.type_bigint() }})
{%- endmacro %}
