-- Grain: month × cohort (month of registration) × source: how many of the profiles that registered then have bought so far.
with customer_months as (

    select
        *,
        {{ month_start('created_date') }} as cohort_month
    from {{ ref('fct_customer_months') }}
    where {{ in_months_of_run() }}

),

final as (

    select
        snapshot_month,
        as_of_date,
        cohort_month,
        cast({{ months_between('cohort_month', 'snapshot_month') }} as {{ dbt.type_bigint() }}) as months_since_registration,
        source,
        count(*) as n_registered,
        count(case when status = 'customer' then 1 end) as n_customers,
        count(case when is_active then 1 end) as n_active,
        {{ is_reconstructed() }} as is_reconstructed,
        definition_version
    from customer_months
    group by snapshot_month, as_of_date, cohort_month, source, definition_version

)

select * from final
