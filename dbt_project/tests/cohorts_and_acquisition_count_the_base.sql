-- Why: a conversion rate over profiles that another mart does not count cannot be compared with it.
-- Returns rows when they differ.
{{
    config(
        meta={
            'dagster': {'ref': {'name': 'cohort_conversion_monthly'}},
            'description': 'Cohorts add up to the profiles, customers and active profiles of the overview, for each source; prospects by age of registration to its prospects; new profiles are the same.',
        }
    )
}}

with cohorts as (

    select
        snapshot_month,
        {{ source_beside_all() }} as source,
        sum(n_registered) as n_profiles,
        sum(n_customers) as n_customers,
        sum(n_active) as n_active
    from {{ ref('cohort_conversion_monthly') }}
    where {{ in_months_of_run() }}
    group by snapshot_month, {{ source_beside_all() }}

),

overview as (

    select * from {{ ref('base_overview_monthly') }}
    where {{ in_months_of_run() }}

),

acquisition as (

    select * from {{ ref('acquisition_monthly') }}
    where {{ in_months_of_run() }}

)

select
    overview.snapshot_month,
    overview.source,
    overview.n_profiles,
    cohorts.n_profiles as n_in_cohorts
from overview
left join cohorts on overview.snapshot_month = cohorts.snapshot_month and overview.source = cohorts.source
left join acquisition on overview.snapshot_month = acquisition.snapshot_month and overview.source = acquisition.source
where
    acquisition.source is null
    or acquisition.n_new <> overview.n_new
    or acquisition.n_prospects_new + acquisition.n_prospects_cold + acquisition.n_prospects_dormant <> overview.n_prospects
    or (
        overview.source <> 'all'
        and (
            coalesce(cohorts.n_profiles, 0) <> overview.n_profiles
            or coalesce(cohorts.n_customers, 0) <> overview.n_customers
            or coalesce(cohorts.n_active, 0) <> overview.n_active
        )
    )
