-- Why: a purchase that two accounts share, or none has, makes every discount and margin wrong.
-- Returns rows when a month's accounts did not buy what their customers ordered, or a part exceeds its whole.
{{
    config(
        meta={
            'dagster': {'ref': {'name': 'accounts_monthly'}},
            'description': 'What the accounts bought in a month is what their customers ordered in it; the month is part of the twelve, contracts that end soon of those that are active, contactable contacts of all, and every role is covered in one way.',
        }
    )
}}

with accounts as (

    select * from {{ ref('accounts_monthly') }}
    where {{ in_months_of_run() }}

),

customers as (

    select * from {{ ref('stg_customers') }}
    where account_id is not null

),

orders as (

    {{ rows_known_from(ref('stg_orders'), 'ordered_at', months_of_run().first) }}

),

dated as (

    select
        customer_id,
        amount,
        loaded_at,
        {{ local_date('ordered_at') }} as ordered_date,
        {{ late_date('loaded_at') }} as late_date
    from orders
    where is_counted

),

placed as (

    select
        customer_id,
        amount,
        {{ month_start(known_date('ordered_date', 'late_date', 'loaded_at')) }} as order_month
    from dated

),

-- An order of a merged profile is one of the profile that it is part of.
owned as (

    select
        coalesce(merged.survivor_customer_id, placed.customer_id) as customer_id,
        placed.amount,
        placed.order_month
    from placed
    left join {{ ref('int_merges') }} as merged
        on
            placed.customer_id = merged.customer_id
            and placed.order_month >= merged.valid_from_month
            and (merged.valid_until_month is null or placed.order_month < merged.valid_until_month)

),

ordered as (

    select
        accounts.snapshot_month,
        accounts.account_id,
        count(*) as n_orders,
        sum(owned.amount) as paid_amount
    from accounts
    inner join customers on accounts.account_id = customers.account_id
    inner join owned on customers.customer_id = owned.customer_id and accounts.snapshot_month = owned.order_month
    group by accounts.snapshot_month, accounts.account_id

)

select
    accounts.snapshot_month,
    accounts.account_id,
    accounts.n_orders,
    ordered.n_orders as n_orders_of_customers,
    accounts.paid_amount,
    ordered.paid_amount as paid_amount_of_customers
from accounts
left join ordered on accounts.snapshot_month = ordered.snapshot_month and accounts.account_id = ordered.account_id
where
    accounts.n_orders <> coalesce(ordered.n_orders, 0)
    or abs(accounts.paid_amount - coalesce(ordered.paid_amount, 0)) > 0.006
    or accounts.n_orders > accounts.n_orders_12m
    or accounts.paid_amount > accounts.paid_amount_12m
    or accounts.n_contracts_ending_1m > accounts.n_contracts_ending_3m
    or accounts.n_contracts_ending_3m > accounts.n_contracts_ending_12m
    or accounts.n_contracts_ending_12m > accounts.n_contracts_active
    or accounts.n_contacts_active > accounts.n_contacts
    or accounts.n_contacts_contactable > accounts.n_contacts
    or accounts.n_roles_contactable + accounts.n_roles_not_contactable + accounts.n_roles_missing
    <> {{ buying_roles() | length }}
