-- Grain: account × month × currency × closes that they count at: the orders of its customers that count, in the month to which
-- they belong, from the eleven months before the run on. Without accounts, no order is read.
{{ config(materialized='once') }}
{%- set with_merges = has_merges() %}

with accounts as (

    select * from {{ ref('int_accounts') }}

),

customers as (

    select * from {{ ref('stg_customers') }}

),

orders as (

    {% if has_rows(ref('int_accounts')) -%}
        {{ rows_known_from(ref('stg_orders'), 'ordered_at', month_after(months_of_run().first, -11)) }}
    {%- else -%}
        select * from {{ ref('stg_orders') }}
        where false
    {%- endif %}

),

{% if with_merges -%}
    -- Orders are of who placed them until that profile is merged, and of its survivors from then on.
    owners as (

        select
            customer_id,
            survivor_customer_id,
            valid_from_month,
            valid_until_month
        from {{ ref('int_merges') }}

        union all

        select
            customer_id,
            customer_id as survivor_customer_id,
            null as valid_from_month,
            valid_from_month as valid_until_month
        from {{ ref('int_merges') }}
        where n_merges = 1

    ),

{% endif -%}
of_accounts as (

    select
        accounts.account_id,
        orders.currency,
        orders.quantity,
        orders.amount,
        case when orders.list_amount > 0 then orders.list_amount end as list_amount,
        orders.cost_amount,
        {{ local_date('orders.ordered_at') }} as ordered_date,
        orders.loaded_at,
        {{ late_date('orders.loaded_at') }} as late_date,
        {{ 'owners.valid_from_month' if with_merges else 'cast(null as date)' }} as valid_from_month,
        {{ 'owners.valid_until_month' if with_merges else 'cast(null as date)' }} as valid_until_month
    from orders
    {% if with_merges -%}
        left join owners on orders.customer_id = owners.customer_id
        inner join customers on coalesce(owners.survivor_customer_id, orders.customer_id) = customers.customer_id
    {% else -%}
        inner join customers on orders.customer_id = customers.customer_id
    {% endif -%}
    inner join accounts on customers.account_id = accounts.account_id
    where orders.is_counted

),

final as (

    select
        account_id,
        {{ month_start(known_date('ordered_date', 'late_date', 'loaded_at')) }} as order_month,
        currency,
        valid_from_month,
        valid_until_month,
        count(*) as n_orders,
        sum(quantity) as quantity,
        sum(amount) as paid_amount,
        sum(list_amount) as list_amount,
        sum(case when list_amount is not null then amount end) as paid_amount_with_list,
        sum(case when cost_amount is not null then amount end) as paid_amount_with_cost,
        sum(amount - cost_amount) as margin_amount
    from of_accounts
    group by
        account_id, {{ month_start(known_date('ordered_date', 'late_date', 'loaded_at')) }}, currency, valid_from_month,
        valid_until_month

)

select * from final
