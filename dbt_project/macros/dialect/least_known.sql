{# The smaller (greater) of two values; the known one when the other is null. #}
{% macro least_known(a, b) -%}
    coalesce(least({{ a }}, {{ b }}), {{ a }}, {{ b }})
{%- endmacro %}

{% macro greatest_known(a, b) -%}
    coalesce(greatest({{ a }}, {{ b }}), {{ a }}, {{ b }})
{%- endmacro %}
