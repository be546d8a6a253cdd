{#
    Merges are followed this far at once. From a longer chain, what a profile left goes on in the month after: the profile where it
    has got to is merged too.
#}
{% macro merge_steps() -%}
    {{ return(range(1, 9) | list) }}
{%- endmacro %}

{# Each merge with the profiles that it leads to: survivor_1, survivor_2, … By joins of a fixed number: a circle comes to an end. #}
{% macro merges_led_on(steps) -%}
    select
        step_1.merged_customer_id,
        step_1.survivor_customer_id,
        step_1.known_date,
        step_1.place,
        {% for step in merge_steps() -%}
            step_{{ step }}.survivor_customer_id as survivor_{{ step }},
            step_{{ step }}.known_date as known_date_{{ step }},
            step_{{ step }}.place as place_{{ step }}{{ ',' if not loop.last }}
        {% endfor %}
    from {{ steps }} as step_1
    {% for step in merge_steps()[1:] -%}
        left join {{ steps }} as step_{{ step }} on step_{{ step - 1 }}.survivor_customer_id = step_{{ step }}.merged_customer_id
    {% endfor %}
{%- endmacro %}

{# The greatest of a column over the first merges of a chain. #}
{% macro latest_of(column, step) -%}
    {%- if step == 1 -%}
        {{ column }}_1
    {%- else -%}
        greatest({% for i in range(1, step + 1) %}{{ column }}_{{ i }}{{ ', ' if not loop.last }}{% endfor %})
    {%- endif -%}
{%- endmacro %}

{# Whether a merged profile and its survivor have the same coordinate; null where one of them has none. #}
{% macro is_same_coordinate(coordinate) -%}
    {%- if coordinate == 'email' -%}
        coordinates.email_address = survivor_coordinates.email_address
    {%- elif coordinate == 'phone' -%}
        coordinates.phone_number = survivor_coordinates.phone_number
    {%- else -%}
        {% for column in field_columns(var('profile_fields') | selectattr('name', 'equalto', coordinate) | first) -%}
            {{ lower_case(strip_blanks('customers.' ~ column)) }}
            = {{ lower_case(strip_blanks('survivors.' ~ column)) }}{{ ' and ' if not loop.last }}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}

{# Each merged profile with the one that it is part of in a month, as far as is known by its end. #}
{% macro merges_in(month) -%}
    select * from {{ ref('int_merges') }}
    where {{ holds_in(month) }}
{%- endmacro %}

{# Whether the base has merges, asked when a close compiles a model; in a unit test only one that is about them says so. #}
{% macro has_merges() -%}
    {%- if execute and flags.WHICH == 'test' -%}
        {{ return(false) }}
    {%- endif -%}
    {{ return(has_rows(ref('stg_merges'))) }}
{%- endmacro %}

{# Condition: what was said about a channel of the merged profile is not about another coordinate than the survivor's. #}
{% macro is_not_about_another(channel) -%}
    coalesce(merged.is_same_{{ var('channels')[channel] }}, true)
{%- endmacro %}

{# Condition: the coordinates of the merged profile and of the survivor cannot be compared, so that none is known to be consented to. #}
{% macro is_for_unknown_coordinate(channel) -%}
    case {{ channel }}
        {% for name, coordinate in var('channels').items() -%}
            when '{{ name }}' then merged.is_same_{{ coordinate }} is null
        {% endfor -%}
        else false
    end
{%- endmacro %}
