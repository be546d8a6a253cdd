-- Grain: month × source × status × registered within 12 months × active.
with customer_months as (

    select * from {{ ref('fct_customer_months') }}
    where {{ in_months_of_run() }}

),

final as (

    select
        snapshot_month,
        as_of_date,
        source,
        status,
        registered_within_12m,
        is_active,
        count(*) as n_profiles,
        count(case when is_new then 1 end) as n_new,
        count(case when is_converted then 1 end) as n_converted,
        count(case when {{ is_opted_in_on_any() }} then 1 end) as n_optin_any,
        {{ is_reconstructed() }} as is_reconstructed,
        definition_version
    from customer_months
    group by snapshot_month, as_of_date, source, status, registered_within_12m, is_active, definition_version

)

select * from final
