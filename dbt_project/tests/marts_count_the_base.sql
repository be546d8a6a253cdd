-- Why: a mart that loses or doubles profiles gives rates of something else.
-- Returns rows when a mart's denominator is not the number of profiles at the close.
{{
    config(
        meta={
            'dagster': {'ref': {'name': 'status_monthly'}},
            'description': 'Each mart counts every profile of the base, once, in its segment: per source, status and registration.',
        }
    )
}}

with base as (

    select
        snapshot_month,
        source,
        status,
        registered_within_12m,
        count(*) as n_profiles
    from {{ ref('fct_customer_months') }}
    where {{ in_months_of_run() }}
    group by snapshot_month, source, status, registered_within_12m

),

counted as (

    {% for mart, slice in {
        'recency_monthly': none, 'status_monthly': none, 'demographics_monthly': none, 'fill_rate_monthly': 'field',
        'optin_rate_monthly': 'channel',
    }.items() -%}
        select
            '{{ mart }}' as mart,
            {{ slice or "'all'" }} as slice,
            snapshot_month,
            source,
            status,
            registered_within_12m,
            sum(n_profiles) as n_profiles
        from {{ ref(mart) }}
        where {{ in_months_of_run() }}
        group by snapshot_month, source, status, registered_within_12m{{ ', ' ~ slice if slice }}
        {{ 'union all' if not loop.last }}
    {% endfor %}

),

slices as (

    select distinct
        mart,
        slice
    from counted

),

expected as (

    select
        slices.mart,
        slices.slice,
        base.snapshot_month,
        base.source,
        base.status,
        base.registered_within_12m,
        base.n_profiles
    from base
    cross join slices

)

select
    coalesce(expected.mart, counted.mart) as mart,
    coalesce(expected.slice, counted.slice) as slice,
    coalesce(expected.snapshot_month, counted.snapshot_month) as snapshot_month,
    expected.n_profiles as n_expected,
    counted.n_profiles as n_counted
from expected
full join counted
    on
        expected.mart = counted.mart
        and expected.slice = counted.slice
        and expected.snapshot_month = counted.snapshot_month
        and expected.source = counted.source
        and expected.status = counted.status
        and expected.registered_within_12m = counted.registered_within_12m
where coalesce(expected.n_profiles, -1) <> coalesce(counted.n_profiles, -1)
