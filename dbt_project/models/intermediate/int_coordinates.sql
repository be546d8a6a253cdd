-- Grain: customer. A view: it holds the coordinates themselves, which no table below it does.
with customers as (

    select * from {{ ref('stg_customers') }}

),

emails as (

    select * from {{ ref('int_emails') }}

),

phones as (

    select * from {{ ref('int_phones') }}

),

addresses as (

    select * from {{ ref('int_addresses') }}

),

final as (

    select
        customers.customer_id,
        emails.email_form,
        emails.email_reason,
        phones.phone_form,
        phones.phone_reason,
        phones.sms_form,
        phones.sms_reason,
        addresses.post_form,
        addresses.post_reason,
        emails.email_address,
        phones.phone_number,
        customers.email_changed_at,
        customers.phone_changed_at,
        customers.postal_address_changed_at,
        {{ n_written('customers') }} as n_values,
        {{ n_placeholders('customers') }} as n_placeholders
    from customers
    left join emails on customers.customer_id = emails.customer_id
    left join phones on customers.customer_id = phones.customer_id
    left join addresses on customers.customer_id = addresses.customer_id

)

select * from final
