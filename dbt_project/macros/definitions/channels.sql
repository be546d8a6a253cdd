{# Condition: a flag holds on at least one channel. #}
{% macro on_any_channel(flag, relation='') -%}
    {%- set prefix = relation ~ '.' if relation else '' -%}
    {%- for channel in var('channels') -%}
        {{ prefix }}{{ channel }}_{{ flag }}{{ ' or ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}

{# Condition: the profile is opted in on at least one channel. #}
{% macro is_opted_in_on_any() -%}
    {{ on_any_channel('is_opted_in') }}
{%- endmacro %}

{# The profile fields that the channels reach a person through, each once. #}
{% macro coordinates() -%}
    {{ return(var('channels').values() | unique | list) }}
{%- endmacro %}

{# The channels that use a profile field as their coordinate. #}
{% macro channels_of(coordinate) -%}
    {%- set channels = [] -%}
    {%- for channel, field in var('channels').items() if field == coordinate -%}
        {%- do channels.append(channel) -%}
    {%- endfor -%}
    {{ return(channels) }}
{%- endmacro %}
