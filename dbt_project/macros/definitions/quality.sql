{# The shares of the scorecard: each measure and its denominator. #}
{% macro quality_shares() -%}
    {{ return({
        'fill': {'n': 'n_key_fields_filled', 'of': 'n_key_values'},
        'placeholder': {'n': 'n_placeholders', 'of': 'n_values'},
        'invalid': {'n': 'n_invalid', 'of': 'n_coordinates'},
        'duplicate': {'n': 'n_duplicate', 'of': 'n_profiles'},
        'optin_no_coordinate': {'n': 'n_optin_no_coordinate', 'of': 'n_opted_in'},
    }) }}
{%- endmacro %}

{# How many key fields of a profile are filled. #}
{% macro n_key_fields_filled(relation) -%}
    {%- set flags = [] -%}
    {%- for field in key_fields() -%}
        {%- do flags.append('case when ' ~ relation ~ '.has_' ~ field.name ~ ' then 1 else 0 end') -%}
    {%- endfor -%}
    {{ flags | join(' + ') or '0' }}
{%- endmacro %}

{% macro key_fields() -%}
    {{ return(var('profile_fields') | selectattr('key', 'defined') | selectattr('key') | list) }}
{%- endmacro %}

{# How many raw columns of the profile fields hold something. #}
{% macro n_written(relation) -%}
    {%- set flags = [] -%}
    {%- for column in profile_columns() -%}
        {%- do flags.append('case when ' ~ is_written(relation ~ '.' ~ column) ~ ' then 1 else 0 end') -%}
    {%- endfor -%}
    {{ flags | join(' + ') }}
{%- endmacro %}

{# How many of them hold a placeholder. #}
{% macro n_placeholders(relation) -%}
    {%- set flags = [] -%}
    {%- for column in profile_columns() -%}
        {%- set value = relation ~ '.' ~ column -%}
        {%- do flags.append('case when ' ~ is_written(value) ~ ' and not ' ~ is_filled(value) ~ ' then 1 else 0 end') -%}
    {%- endfor -%}
    {{ flags | join(' + ') }}
{%- endmacro %}

{# The channels that speak for the coordinates, each coordinate once. #}
{% macro one_channel_each() -%}
    {%- set channels = [] -%}
    {%- for coordinate in coordinates() -%}
        {%- do channels.append(channels_of(coordinate) | last) -%}
    {%- endfor -%}
    {{ return(channels) }}
{%- endmacro %}

{# How many coordinates of a profile stand at a stage, or beyond the first one. #}
{% macro n_coordinates_where(condition) -%}
    {%- set flags = [] -%}
    {%- for channel in one_channel_each() -%}
        {%- do flags.append('case when ' ~ channel ~ '_stage ' ~ condition ~ ' then 1 else 0 end') -%}
    {%- endfor -%}
    {{ flags | join(' + ') }}
{%- endmacro %}

{# Whether a profile is opted in on a channel whose coordinate it lacks. #}
{% macro has_optin_no_coordinate() -%}
    {%- for channel in var('channels') -%}
        ({{ channel }}_is_opted_in and {{ channel }}_stage = 'no_coordinate'){{ ' or ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}
