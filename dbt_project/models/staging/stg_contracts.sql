-- Grain: contract.
with contracts as (

    select * from {{ source('raw', 'contracts') }}

),

final as (

    select
        contract_id,
        account_id,
        customer_id,
        -- A contract that binds, between its start and its end.
        coalesce(
            {{ lower_case(strip_blanks('status')) }} not in ({{ quoted_list(var('contract_statuses_not_counted')) }}), true
        ) as is_counted,
        started_at,
        ends_at,
        recurring_amount
    from contracts

)

select * from final
