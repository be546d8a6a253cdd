-- Grain: customer.
with customers as (

    select * from {{ ref('stg_customers') }}

),

final as (

    select
        customer_id,
        email,
        phone,
        address_line,
        postal_code,
        city,
        country,
        {{ dbt.hash(all_written(['email', 'phone', 'address_line', 'postal_code', 'city', 'country'])) }} as written_hash
    from customers

)

select * from final
