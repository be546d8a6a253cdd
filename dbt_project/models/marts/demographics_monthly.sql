-- Grain: month × source × status × registered within 12 months × gender × age band.
with customer_months as (

    select * from {{ ref('fct_customer_months') }}
    where {{ in_months_of_run() }}

),

bands as (

    {{ bands('age') }}

),

by_age as (

    select
        snapshot_month,
        as_of_date,
        source,
        status,
        registered_within_12m,
        coalesce(gender, 'missing') as gender,
        age_years,
        count(*) as n_profiles,
        count(case when is_birth_date_implausible then 1 end) as n_birth_date_implausible
    from customer_months
    group by snapshot_month, as_of_date, source, status, registered_within_12m, coalesce(gender, 'missing'), age_years

),

final as (

    select
        by_age.snapshot_month,
        by_age.as_of_date,
        by_age.source,
        by_age.status,
        by_age.registered_within_12m,
        by_age.gender,
        coalesce(bands.age_band, 'missing') as age_band,
        coalesce(bands.age_band_rank, {{ var('age_bands') | length + 2 }}) as age_band_rank,
        cast(sum(by_age.n_profiles) as {{ dbt.type_bigint() }}) as n_profiles,
        cast(coalesce(sum(by_age.age_years * by_age.n_profiles), 0) as {{ dbt.type_bigint() }}) as sum_age_years,
        {{ sum_where('by_age.n_profiles', 'by_age.age_years is not null') }} as n_age_known,
        cast(sum(by_age.n_birth_date_implausible) as {{ dbt.type_bigint() }}) as n_birth_date_implausible,
        {{ is_reconstructed('by_age.snapshot_month') }} as is_reconstructed,
        {{ definition_version(['age_bands']) }} as definition_version
    from by_age
    left join bands on by_age.age_years >= bands.lower_bound and by_age.age_years < bands.upper_bound
    group by
        by_age.snapshot_month, by_age.as_of_date, by_age.source, by_age.status, by_age.registered_within_12m, by_age.gender,
        bands.age_band, bands.age_band_rank

)

select * from final
