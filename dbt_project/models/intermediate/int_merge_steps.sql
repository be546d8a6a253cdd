-- Grain: merged profile. Of a circle of merges, the one that became known last is not followed.
{{ config(materialized='once') }}

with merged as (

    select * from {{ ref('stg_merges') }}

),

dated as (

    select
        merged_customer_id,
        survivor_customer_id,
        merged_at,
        loaded_at,
        {{ local_date('merged_at') }} as merged_date,
        {{ late_date('loaded_at') }} as late_date
    from merged

),

known as (

    select
        merged_customer_id,
        survivor_customer_id,
        merged_at,
        {{ known_date('merged_date', 'late_date', 'loaded_at') }} as known_date
    from dated

),

placed as (

    select
        *,
        row_number() over (order by known_date, merged_at, merged_customer_id) as place
    from known

),

led_on as (

    {{ merges_led_on('placed') }}

),

final as (

    select
        merged_customer_id,
        survivor_customer_id,
        known_date,
        place,
        case
            {% for step in merge_steps() -%}
                when survivor_{{ step }} = merged_customer_id then place <> {{ latest_of('place', step) }}
            {% endfor -%}
            else true
        end as is_followed
    from led_on

)

select * from final
