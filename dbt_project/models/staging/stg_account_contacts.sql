-- Grain: account × customer × role, as the role is written.
with account_contacts as (

    select * from {{ source('raw', 'account_contacts') }}

),

final as (

    select
        account_id,
        customer_id,
        {{ lower_case(strip_blanks('role')) }} as buying_role
    from account_contacts

)

select * from final
