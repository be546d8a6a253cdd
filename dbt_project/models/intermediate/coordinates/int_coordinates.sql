-- Grain: customer.
{{ config(materialized='once') }}

with customers as (

    select * from {{ ref('stg_customers') }}

),

judged as (

    select * from {{ ref('int_judged_coordinates') }}

),

mail_domains as (

    select * from {{ ref('stg_mail_domains') }}

),

final as (

    select
        customers.customer_id,
        case
            when mail_domains.accepts_mail then 'valid'
            when not mail_domains.accepts_mail then 'invalid'
            else judged.email_form
        end as email_form,
        case
            when mail_domains.accepts_mail then null
            when not mail_domains.accepts_mail then 'no_mail_server'
            else judged.email_reason
        end as email_reason,
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
    -- Addresses of an invalid form have no domain here: no check makes them valid.
    left join mail_domains on judged.email_domain = mail_domains.domain

)

select * from final
