-- Why: profiles must not appear or vanish between two closes.
-- Returns rows when the two levels differ.
{{
    config(
        meta={
            'dagster': {'ref': {'name': 'flows_monthly'}},
            'description': 'The closing of a month is the opening of the next, for every source, status and scope.',
        }
    )
}}

with levels as (

    select
        snapshot_month,
        source,
        status,
        scope,
        movement,
        n_profiles
    from {{ ref('flows_monthly') }}
    where
        movement in ('opening', 'closing')
        and snapshot_month >= date '{{ month_after(months_of_run().first, -1) }}'
        and snapshot_month <= date '{{ months_of_run().next }}'

),

months as (

    select distinct snapshot_month from levels

),

-- Both levels counted in the month they open.
compared as (

    select
        {{ add_months('snapshot_month', 1) }} as opened_month,
        source,
        status,
        scope,
        n_profiles
    from levels
    where movement = 'closing'

    union all

    select
        snapshot_month as opened_month,
        source,
        status,
        scope,
        -n_profiles as n_profiles
    from levels
    where movement = 'opening'

)

select
    compared.opened_month,
    compared.source,
    compared.status,
    compared.scope,
    sum(compared.n_profiles) as n_difference
from compared
inner join months on compared.opened_month = months.snapshot_month
inner join months as months_before on {{ add_months('compared.opened_month', -1) }} = months_before.snapshot_month
group by compared.opened_month, compared.source, compared.status, compared.scope
having sum(compared.n_profiles) <> 0
