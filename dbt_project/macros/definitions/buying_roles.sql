{# The parts that people play in the buying decision of an account. #}
{% macro buying_roles() -%}
    {{ return(['buyer', 'influencer', 'decision_maker', 'user']) }}
{%- endmacro %}
