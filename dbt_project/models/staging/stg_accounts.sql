-- Grain: account.
with accounts as (

    select * from {{ source('raw', 'accounts') }}

),

final as (

    select
        account_id,
        name as account_name,
        industry,
        created_at
    from accounts

)

select * from final
