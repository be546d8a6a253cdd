-- Grain: customer. How the text of the phone reads as a number of the world.
-- On Spark a table of the run: its smallest catalog, Derby, keeps 32,700 characters of a view. Java code made of so much SQL is
-- refused for its size, after long seconds.
{{
    config(
        materialized='table' if target.type == 'spark' else 'view',
        pre_hook='{{ generate_code(false) }}',
        post_hook='{{ generate_code(true) }}',
    )
}}

{%- set plans = regional_plans() -%}
{%- set default_plans = default_plans() -%}
{%- set plans_by_code = plans_by_calling_code() %}

with customers as (

    select * from {{ ref('int_coordinates_to_judge') }}

),

written as (

    select
        customer_id,
        country,
        coalesce(country in ({{ region_list(plans) }}), false) as has_known_country,
        case when {{ is_filled('phone') }} then {{ without_phone_punctuation('phone') }} end as written_number
    from customers

),

found as (

    select
        customer_id,
        written_number is not null as is_filled,
        case when has_known_country then country else '{{ default_plans[0].region }}' end as region,
        country is not null and not has_known_country as has_unknown_country,
        not has_known_country or country in ({{ region_list(default_plans) }}) as has_default_region,
        case
            when {{ matches_fully('written_number', '[+]?[0-9]+') }} then written_number
            else {{ captured('written_number', phone_text_pattern()) }}
        end as dialled
    from written

),

opened as (

    select
        *,
        case
            when {{ starts_with_text('dialled', '+00') }} then substr(dialled, 4)
            when {{ starts_with_text('dialled', '+') }} then substr(dialled, 2)
            {% for prefix, group in plans | rejectattr('international', 'equalto', '00') | groupby('international') -%}
                when region in ({{ region_list(group) }})
                    then {{ captured('dialled', '(?:' ~ prefix ~ '|00)([1-9][0-9]*)') }}
            {% endfor -%}
            when {{ starts_with_text('dialled', '00') }} and substr(dialled, 3, 1) <> '0' then substr(dialled, 3)
        end as international_digits
    from found

),

completed as (

    select
        *,
        coalesce(
            international_digits,
            case region
                {% for plan in plans -%}
                    when '{{ plan.region }}' then '{{ plan.calling_code }}' || {{ national_number_in('dialled', plan) }}
                {% endfor %}
            end
        ) as digits
    from opened

),

called as (

    select
        *,
        {{ calling_code_of('digits') }} as calling_code
    from completed

),

shortened as (

    select
        *,
        substr(digits, length(calling_code) + 1) as written_national_number
    from called

),

stripped as (

    select
        *,
        coalesce(
            case calling_code
                {% for code, plans_of_code in plans_by_code if plans_of_code[0].trunk -%}
                    when '{{ code }}' then {{ without_trunk_prefix('written_national_number', plans_of_code[0]) }}
                {% endfor %}
            end,
            written_national_number
        ) as national_number
    from shortened

),

judged as (

    select
        *,
        case calling_code
            {% for code, plans_of_code in plans_by_code -%}
                when '{{ code }}' then {{ phone_kind('national_number', plans_of_code) }}
            {% endfor %}
        end as kind
    from stripped

),

-- Where its country is empty or one of the default regions, a number that is not valid there may be in another of them.
tried as (

    select
        {% for plan in default_plans -%}
            case
                when kind is null and international_digits is null and has_default_region
                    then {{ national_number_in('dialled', plan) }}
            end as number_in_{{ plan.region | lower }},
        {% endfor -%}
        *
    from judged

),

retried as (

    select
        {% for plan in default_plans -%}
            {{ phone_kind('number_in_' ~ plan.region | lower, plans_of(plan.calling_code)) }}
                as kind_in_{{ plan.region | lower }},
        {% endfor -%}
        *
    from tried

),

final as (

    select
        customer_id,
        is_filled,
        dialled is not null as has_number,
        calling_code is not null as has_calling_code,
        international_digits is null and has_unknown_country as is_of_unknown_region,
        case calling_code
            {% for code, plans_of_code in plans_by_code -%}
                when '{{ code }}' then {{ has_possible_length('national_number', plans_of_code[0]) }}
            {% endfor %}
        end as has_possible_length,
        case
            when kind is not null then kind
            {% for plan in default_plans -%}
                when kind_in_{{ plan.region | lower }} is not null then kind_in_{{ plan.region | lower }}
            {% endfor %}
        end as kind,
        case
            when kind is not null then '+' || calling_code || national_number
            {% for plan in default_plans -%}
                when kind_in_{{ plan.region | lower }} is not null
                    then '+{{ plan.calling_code }}' || number_in_{{ plan.region | lower }}
            {% endfor %}
        end as phone_number
    from retried

)

select * from final
