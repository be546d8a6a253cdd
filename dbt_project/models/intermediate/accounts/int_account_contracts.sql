-- Grain: contract that binds an account, or one of its customers.
with contracts as (

    select * from {{ ref('stg_contracts') }}

),

customers as (

    select * from {{ ref('stg_customers') }}

),

accounts as (

    select * from {{ ref('int_accounts') }}

),

final as (

    select
        contracts.contract_id,
        accounts.account_id,
        {{ local_date('contracts.started_at') }} as started_date,
        {{ local_date('contracts.ends_at') }} as ends_date,
        contracts.recurring_amount
    from contracts
    left join customers on contracts.customer_id = customers.customer_id
    inner join accounts on coalesce(contracts.account_id, customers.account_id) = accounts.account_id
    where contracts.is_counted

)

select * from final
