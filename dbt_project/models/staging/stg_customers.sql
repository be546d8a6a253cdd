-- Grain: customer.
with customers as (

    select * from {{ source('raw', 'customers') }}

),

final as (

    select
        customer_id,
        coalesce(nullif({{ lower_case(strip_blanks('source')) }}, ''), 'unknown') as source,
        nullif(upper({{ strip_blanks('country') }}), '') as country,
        {% for column in profile_columns() if column not in ('country', 'gender', 'account_id') -%}
            {{ column }},
        {% endfor -%}
        gender,
        account_id,
        birth_date,
        created_at,
        deleted_at,
        first_loaded_at,
        deletion_loaded_at,
        email_changed_at,
        phone_changed_at,
        postal_address_changed_at
    from customers

)

select * from final
