-- Grain: account.
with accounts as (

    select * from {{ ref('stg_accounts') }}

),

final as (

    select
        account_id,
        account_name,
        industry,
        {{ local_date('created_at') }} as created_date
    from accounts

)

select * from final
