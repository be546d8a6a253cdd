-- Grain: merged profile × profile that it leads to, through one merge or several, with the months in which it is part of it.
{{ config(materialized='once') }}
{%- set with_merges = has_merges() %}

with steps as (

    select * from {{ ref('int_merge_steps') }}
    where is_followed

),

-- A base without merges reads no coordinates for them.
coordinates as (

    select
        {{ 'customer_id' if with_merges else 'merged_customer_id as customer_id' }},
        {{ 'email_address' if with_merges else 'cast(null as ' ~ dbt.type_string() ~ ') as email_address' }},
        {{ 'phone_number' if with_merges else 'cast(null as ' ~ dbt.type_string() ~ ') as phone_number' }}
    from {{ ref('int_coordinates') if with_merges else ref('int_merge_steps') }}

),

customers as (

    select * from {{ ref('stg_customers') }}

),

led_on as (

    {{ merges_led_on('steps') }}

),

numbers as (

    {% for step in merge_steps() -%}
        select {{ step }} as n_merges
        {{ 'union all' if not loop.last }}
    {% endfor %}

),

paths as (

    select
        led_on.merged_customer_id as customer_id,
        numbers.n_merges,
        case numbers.n_merges
            {% for step in merge_steps() -%}
                when {{ step }} then led_on.survivor_{{ step }}
            {% endfor -%}
        end as survivor_customer_id,
        case numbers.n_merges
            {% for step in merge_steps() -%}
                when {{ step }} then {{ latest_of('led_on.known_date', step) }}
            {% endfor -%}
        end as known_date
    from led_on
    cross join numbers

),

dated as (

    select
        *,
        {{ month_start('known_date') }} as valid_from_month
    from paths
    where survivor_customer_id is not null

),

final as (

    select
        dated.customer_id,
        dated.survivor_customer_id,
        cast(dated.n_merges as {{ dbt.type_bigint() }}) as n_merges,
        min(dated.valid_from_month) over (partition by dated.customer_id) as merged_month,
        dated.valid_from_month,
        {% for coordinate in coordinates() -%}
            {{ is_same_coordinate(coordinate) }} as is_same_{{ coordinate }},
        {% endfor -%}
        lead(dated.valid_from_month) over (partition by dated.customer_id order by dated.n_merges) as valid_until_month
    from dated
    left join coordinates on dated.customer_id = coordinates.customer_id
    left join coordinates as survivor_coordinates on dated.survivor_customer_id = survivor_coordinates.customer_id
    left join customers on dated.customer_id = customers.customer_id
    left join customers as survivors on dated.survivor_customer_id = survivors.customer_id

)

select * from final
