-- Grain: customer.
{{ config(materialized='once') }}

with customers as (

    select * from {{ ref('stg_customers') }}

),

judged as (

    select * from {{ ref('int_judged_coordinates') }}

),

final as (

    select
        customers.customer_id,
        judged.email_form,
        judged.email_reason,
        judged.phone_form,
        judged.phone_reason,
        judged.sms_form,
        judged.sms_reason,
        judged.post_form,
        judged.post_reason,
        judged.email_address,
        judged.phone_number,
        customers.email_changed_at,
        customers.phone_changed_at,
        customers.postal_address_changed_at,
        {{ n_written('customers') }} as n_values,
        {{ n_placeholders('customers') }} as n_placeholders
    from customers
    left join judged on customers.customer_id = judged.customer_id

)

select * from final
