-- Why: a consent must not appear or vanish between two closes.
-- Returns rows when the closing of a month is not the opening of the next.
{{
    config(
        meta={
            'dagster': {'ref': {'name': 'consent_flows_monthly'}},
            'description': 'The opted-in at the closing of a month are those at the opening of the next, for every source and channel.',
        }
    )
}}

with levels as (

    select
        case when movement = 'closing' then {{ add_months('snapshot_month', 1) }} else snapshot_month end as opened_month,
        source,
        channel,
        sum(case when movement = 'closing' then n_profiles else 0 end) as n_closed,
        sum(case when movement = 'opening' then n_profiles else 0 end) as n_opened
    from {{ ref('consent_flows_monthly') }}
    where
        movement in ('opening', 'closing')
        and snapshot_month >= date '{{ month_after(months_of_run().first, -1) }}'
        and snapshot_month <= date '{{ months_of_run().next }}'
    group by case when movement = 'closing' then {{ add_months('snapshot_month', 1) }} else snapshot_month end, source, channel

),

months as (

    select distinct snapshot_month
    from {{ ref('status_monthly') }}

)

select
    levels.opened_month,
    levels.source,
    levels.channel
from levels
inner join months on levels.opened_month = months.snapshot_month
inner join months as months_before on {{ add_months('levels.opened_month', -1) }} = months_before.snapshot_month
where
    levels.opened_month >= date '{{ months_of_run().first }}'
    and levels.opened_month <= date '{{ months_of_run().next }}'
    and levels.n_closed <> levels.n_opened
