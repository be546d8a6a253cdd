-- Grain: event.
with events as (

    select * from {{ source('raw', 'events') }}

),

final as (

    select
        event_id,
        customer_id,
        {{ lower_case(strip_blanks('event_type')) }} as event_type,
        nullif({{ lower_case(strip_blanks('channel')) }}, '') as channel,
        occurred_at,
        loaded_at
    from events

)

select * from final
