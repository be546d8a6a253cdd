{# Condition: the profile is opted in on at least one channel. #}
{% macro is_opted_in_on_any() -%}
    {%- for channel in var('channels') -%}
        {{ channel }}_is_opted_in{{ ' or ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}

{# Condition: the profile has a coordinate on at least one channel. #}
{% macro is_filled_on_any() -%}
    {%- for field in var('channels').values() | unique -%}
        has_{{ field }}{{ ' or ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}
