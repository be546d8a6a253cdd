-- Grain: account × customer: those who belong to it, and those who have a part in its buying decision.
with customers as (

    select * from {{ ref('stg_customers') }}

),

account_contacts as (

    select * from {{ ref('stg_account_contacts') }}

),

accounts as (

    select * from {{ ref('int_accounts') }}

),

linked as (

    select
        account_id,
        customer_id,
        cast(null as {{ dbt.type_string() }}) as buying_role
    from customers

    union all

    select
        account_id,
        customer_id,
        buying_role
    from account_contacts

),

final as (

    select
        accounts.account_id,
        {% for role in buying_roles() -%}
            max(case when linked.buying_role = '{{ role }}' then 1 else 0 end) = 1 as is_{{ role }},
        {% endfor -%}
        linked.customer_id
    from linked
    inner join accounts on linked.account_id = accounts.account_id
    group by accounts.account_id, linked.customer_id

)

select * from final
