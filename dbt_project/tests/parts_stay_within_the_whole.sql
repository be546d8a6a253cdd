-- Why: a rate above 100 %, or a person counted twice, is the first thing a reader sees.
-- Returns rows when a part exceeds its whole.
{{
    config(
        meta={
            'dagster': {'ref': {'name': 'optin_rate_monthly'}},
            'description': 'Nobody is filled, opted in, new or converted who is not in the base; `any` lies between the largest channel and the sum of them.',
        }
    )
}}

with channels as (

    select
        snapshot_month,
        source,
        status,
        registered_within_12m,
        max(n_profiles) as n_profiles,
        max(case when channel <> 'any' then n_opted_in else 0 end) as n_largest,
        sum(case when channel <> 'any' then n_opted_in else 0 end) as n_sum,
        sum(case when channel = 'any' then n_opted_in else 0 end) as n_any
    from {{ ref('optin_rate_monthly') }}
    where {{ in_months_of_run() }}
    group by snapshot_month, source, status, registered_within_12m

)

select
    'optin_rate_monthly' as mart,
    snapshot_month
from channels
where n_any < n_largest or n_any > n_sum or n_any > n_profiles

union all

select
    'fill_rate_monthly' as mart,
    snapshot_month
from {{ ref('fill_rate_monthly') }}
where {{ in_months_of_run() }} and (n_filled > n_profiles or n_filled < 0)

union all

select
    'status_monthly' as mart,
    snapshot_month
from {{ ref('status_monthly') }}
where
    {{ in_months_of_run() }}
    and (n_new > n_profiles or n_converted > n_profiles or n_optin_any > n_profiles)
