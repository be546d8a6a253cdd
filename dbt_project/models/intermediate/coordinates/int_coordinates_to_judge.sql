-- Grain: customer whose coordinates were not judged yet as they are written now. On other engines than DuckDB: every customer.
with customers as (

    select * from {{ ref('stg_customers') }}

),

written as (

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

),

final as (

    select written.*
    from written
    {% if judged_coordinates() -%}
        left join {{ judged_coordinates() }} as judged
            on written.customer_id = judged.customer_id and written.written_hash = judged.written_hash
        where judged.customer_id is null
    {%- endif %}

)

select * from final
