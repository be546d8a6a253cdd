-- Grain: consent given or withdrawn.
with consents as (

    select * from {{ source('raw', 'consents') }}

),

final as (

    select
        consent_id,
        customer_id,
        {{ lower_case(strip_blanks('channel')) }} as channel,
        {{ lower_case(strip_blanks('status')) }} as consent_status,
        occurred_at,
        loaded_at
    from consents

)

select * from final
