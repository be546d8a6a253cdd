-- Grain: order.
with orders as (

    select * from {{ source('raw', 'orders') }}

),

final as (

    select
        order_id,
        customer_id,
        amount,
        quantity,
        list_amount,
        cost_amount,
        nullif(upper({{ strip_blanks('currency') }}), '') as currency,
        -- An order that makes a customer.
        amount > 0
        and coalesce(
            {{ lower_case(strip_blanks('status')) }} not in ({{ quoted_list(var('order_statuses_not_counted')) }}), true
        ) as is_counted,
        ordered_at,
        loaded_at
    from orders

)

select * from final
