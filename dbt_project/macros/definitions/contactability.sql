{#
    The waterfall: where a profile stops on its way to being contactable on a channel, in the order in which the reasons are
    asked for. From `no_optin` on, the profile can be reached.
#}
{% macro stages() -%}
    {{ return(['no_coordinate', 'invalid', 'bounced', 'untested', 'no_optin', 'other_coordinate', 'contactable']) }}
{%- endmacro %}

{# Of the stages on all channels of a profile, the furthest: that of the person. #}
{% macro furthest_stage(relation) -%}
    case
        {% for stage in stages()[1:] | reverse -%}
            when '{{ stage }}' in (
                {%- for channel in var('channels') %}{{ relation }}.{{ channel }}_stage{{ ', ' if not loop.last }}{% endfor -%}
            ) then '{{ stage }}'
        {% endfor -%}
        else 'no_coordinate'
    end
{%- endmacro %}

{# How many profiles a condition holds for, in rows that each stand for `n_profiles`. #}
{% macro n_profiles_where(condition) -%}
    cast(sum(case when {{ condition }} then n_profiles else 0 end) as {{ dbt.type_bigint() }})
{%- endmacro %}

{#
    For each channel, what says whether its coordinate has a form that can be reached. SMS has rules of its own on the telephone
    number; a coordinate without rules is valid when it is filled in.
#}
{% macro form_of(channel) -%}
    {%- set coordinate = var('channels')[channel] -%}
    {%- set name = {'email': 'email', 'phone': 'sms' if channel == 'sms' else 'phone', 'postal_address': 'post'}.get(coordinate) -%}
    {{ return(name) }}
{%- endmacro %}

{# Event types by which a coordinate says that it cannot be reached, the weightiest last. #}
{% macro failure_types() -%}
    {{ return(['undeliverable', 'hard_bounce', 'complaint']) }}
{%- endmacro %}

{# A coordinate as consents and profiles write it, without what does not matter: case, blanks, punctuation, trunk zeros. #}
{% macro comparable(coordinate, value) -%}
    {%- if coordinate == 'phone' -%}
        ltrim(translate({{ value }}, '+-./() ', ''), '0')
    {%- else -%}
        {{ lower_case(strip_blanks(value)) }}
    {%- endif -%}
{%- endmacro %}

{#
    Whether a consent names another coordinate than the profile has now; null when it names none, or when the two cannot be
    compared (postal addresses are not written the same way twice). A national telephone number ends the international one.
#}
{% macro names_another(coordinate, named, present) -%}
    {%- set named = 'nullif(' ~ comparable(coordinate, named) ~ ", '')" -%}
    {%- if coordinate == 'email' -%}
        {{ named }} <> {{ comparable(coordinate, present) }}
    {%- elif coordinate == 'phone' -%}
        right({{ comparable(coordinate, present) }}, length({{ named }})) <> {{ named }}
    {%- else -%}
        cast(null as {{ dbt.type_boolean() }})
    {%- endif -%}
{%- endmacro %}

{# Whether a coordinate changed since the month before was closed. #}
{% macro has_changed(coordinate) -%}
    coalesce({{ coordinate }}_changed_at <> opening_{{ coordinate }}_changed_at, {{ coordinate }}_changed_at is not null)
{%- endmacro %}

{# Whether the latest failed delivery was to the present coordinate. #}
{% macro has_failed(coordinate) -%}
    coalesce({{ coordinate }}_failed_at >= {{ coordinate }}_changed_at, {{ coordinate }}_failed_at is not null)
{%- endmacro %}
