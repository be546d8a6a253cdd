-- Grain: customer. On DuckDB, what was judged before and is written as then is kept, as long as the rules are the same.
{{
    config(
        materialized='incremental' if target.type == 'duckdb' else 'table',
        incremental_strategy='delete+insert',
        unique_key='customer_id',
        on_schema_change='sync_all_columns',
        pre_hook='{{ forget_judgements(ref("int_written_coordinates"), ref("int_coordinates_to_judge")) }}',
    )
}}

with customers as (

    select * from {{ ref('int_coordinates_to_judge') }}

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
        emails.email_domain,
        phones.phone_number,
        customers.written_hash,
        {{ rules_hash() }} as rules_hash
    from customers
    left join emails on customers.customer_id = emails.customer_id
    left join phones on customers.customer_id = phones.customer_id
    left join addresses on customers.customer_id = addresses.customer_id

)

select * from final
