-- Grain: month × source × status × registered within 12 months × new × recency band.
with customer_months as (

    select * from {{ ref('fct_customer_months') }}
    where {{ in_months_of_run() }}

),

bands as (

    {{ bands('recency') }}

),

days as (

    select
        snapshot_month,
        as_of_date,
        source,
        status,
        registered_within_12m,
        is_new,
        days_since_last_activity,
        definition_version,
        count(*) as n_profiles
    from customer_months
    group by
        snapshot_month, as_of_date, source, status, registered_within_12m, is_new, days_since_last_activity,
        definition_version

),

final as (

    select
        days.snapshot_month,
        days.as_of_date,
        days.source,
        days.status,
        days.registered_within_12m,
        days.is_new,
        bands.recency_band,
        bands.recency_band_rank,
        cast(sum(days.n_profiles) as {{ dbt.type_bigint() }}) as n_profiles,
        {{ is_reconstructed('days.snapshot_month') }} as is_reconstructed,
        days.definition_version
    from days
    inner join bands
        on
            days.days_since_last_activity >= bands.lower_bound
            and days.days_since_last_activity < bands.upper_bound
    group by
        days.snapshot_month, days.as_of_date, days.source, days.status, days.registered_within_12m, days.is_new,
        bands.recency_band, bands.recency_band_rank, days.definition_version

)

select * from final
