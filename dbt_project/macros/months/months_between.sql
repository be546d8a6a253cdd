{# Whole calendar months from the month of one date to that of another. #}
{% macro months_between(first_date, last_date) -%}
    (
        (extract(year from {{ last_date }}) - extract(year from {{ first_date }})) * 12
        + extract(month from {{ last_date }}) - extract(month from {{ first_date }})
    )
{%- endmacro %}
