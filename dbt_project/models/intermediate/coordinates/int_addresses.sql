-- Grain: customer. Whether a postal address can be written to, as far as the address itself tells.
with customers as (

    select * from {{ ref('int_coordinates_to_judge') }}

),

located as (

    select
        customer_id,
        address_line,
        postal_code,
        city,
        -- Placeholders are not looked for: NA is one, and Namibia.
        coalesce(country, {{ text_literal(default_region()) }}) as country,
        {{ is_filled('address_line') }} and {{ is_filled('postal_code') }} and {{ is_filled('city') }} as has_address
    from customers

),

judged as (

    select
        customer_id,
        has_address,
        case
            when not has_address then null
            when {{ matches_fully('address_line', '[^\\pL\\pN]*') }} then 'line'
            when {{ matches_fully('city', '[^\\pL]*') }} then 'city'
            when not {{ has_known_postal_form('country') }} then 'unknown_country'
            when not {{ is_postal_code('postal_code', 'country') }} then 'postal_code'
        end as post_reason
    from located

),

final as (

    select
        customer_id,
        case
            when not has_address then null
            when post_reason is null then 'valid'
            when post_reason = 'unknown_country' then 'untested'
            else 'invalid'
        end as post_form,
        post_reason
    from judged

)

select * from final
