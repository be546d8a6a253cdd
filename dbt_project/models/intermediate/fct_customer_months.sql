-- Grain: customer × closed month, for the profiles in the base at the close. Flags and dates: no name, address or number.
with months as (

    select * from {{ ref('int_customer_months').include(database=false) }}

),

final as (

    select
        snapshot_month,
        as_of_date,
        customer_id,
        source,
        status,
        movement,
        last_activity_type,
        {{ days_between('last_activity_date', 'as_of_date') }} as days_since_last_activity,
        is_active,
        movement = 'new' as is_new,
        status = 'customer' and coalesce(opening_status = 'prospect', first_order_date >= snapshot_month) as is_converted,
        created_date >= {{ add_months('snapshot_month', -11) }} as registered_within_12m,
        {% for field in profile_field_names() -%}
            has_{{ field }},
        {% endfor -%}
        gender,
        age_years,
        is_birth_date_implausible,
        {% for channel in var('channels') -%}
            coalesce({{ channel }}_opt_in_at > {{ channel }}_opt_out_at, {{ channel }}_opt_in_at is not null)
                as {{ channel }}_is_opted_in,
        {% endfor -%}
        created_date,
        first_order_date,
        last_activity_date,
        {{ is_reconstructed() }} as is_reconstructed,
        definition_version
    from months
    where is_in_base

)

select * from final
