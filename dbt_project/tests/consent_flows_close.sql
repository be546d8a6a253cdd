-- Why: consents must not appear or vanish without a movement, nor differ from the opt-in rate that people read beside them.
-- Returns rows when a bridge does not close, or does not end at the opted-in of the opt-in rate.
{{
    config(
        meta={
            'dagster': {'ref': {'name': 'consent_flows_monthly'}},
            'description': 'Opening + opted in and reassigned in - opted out, deleted and reassigned out = closing = the opted-in of optin_rate_monthly, for every month, source and channel.',
        }
    )
}}

with bridges as (

    select
        snapshot_month,
        source,
        channel,
        sum(case when movement = 'opening' then n_profiles else sign * n_profiles end) as n_reached,
        sum(case when movement = 'closing' then n_profiles else 0 end) as n_closing
    from {{ ref('consent_flows_monthly') }}
    where {{ in_months_of_run() }}
    group by snapshot_month, source, channel

),

opted_in as (

    select
        snapshot_month,
        source,
        channel,
        sum(n_opted_in) as n_opted_in
    from {{ ref('optin_rate_monthly') }}
    where {{ in_months_of_run() }}
    group by snapshot_month, source, channel

)

select
    coalesce(bridges.snapshot_month, opted_in.snapshot_month) as snapshot_month,
    coalesce(bridges.source, opted_in.source) as source,
    coalesce(bridges.channel, opted_in.channel) as channel
from bridges
full join opted_in
    on
        bridges.snapshot_month = opted_in.snapshot_month
        and bridges.source = opted_in.source
        and bridges.channel = opted_in.channel
where
    coalesce(bridges.n_reached, 0) <> coalesce(bridges.n_closing, 0)
    or coalesce(bridges.n_closing, 0) <> coalesce(opted_in.n_opted_in, 0)
