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
        coordinate,
        nullif({{ lower_case(strip_blanks('legal_basis')) }}, '') as legal_basis,
        coalesce({{ strip_blanks('proof') }} <> '', false) as has_proof,
        loaded_at
    from consents

)

select * from final
