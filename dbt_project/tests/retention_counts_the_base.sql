-- Why: a list of deletions from figures that miss profiles keeps somebody too long, and one that doubles them drains too much.
-- Returns rows when retention does not count the base and its deletions once, or when a horizon is not within the longer one.
{{
    config(
        meta={
            'dagster': {'ref': {'name': 'retention_monthly'}},
            'description': 'Per source and status: profiles as in status_monthly, deletions as in the flows, each horizon within the longer one and all within the base.',
        }
    )
}}

with statuses as (

    select
        snapshot_month,
        source,
        status,
        sum(n_profiles) as n_profiles,
        0 as n_deleted
    from {{ ref('status_monthly') }}
    where {{ in_months_of_run() }}
    group by snapshot_month, source, status

),

deletions as (

    select
        snapshot_month,
        source,
        status,
        0 as n_profiles,
        n_profiles as n_deleted
    from {{ ref('flows_monthly') }}
    where {{ in_months_of_run() }} and scope = 'base' and movement = 'deleted'

),

expected as (

    select
        snapshot_month,
        source,
        status,
        sum(n_profiles) as n_profiles,
        sum(n_deleted) as n_deleted
    from (
        select * from statuses
        union all
        select * from deletions
    ) as counts
    group by snapshot_month, source, status

),

retention as (

    select * from {{ ref('retention_monthly') }}
    where {{ in_months_of_run() }}

)

select
    coalesce(expected.snapshot_month, retention.snapshot_month) as snapshot_month,
    coalesce(expected.source, retention.source) as source,
    coalesce(expected.status, retention.status) as status,
    expected.n_profiles as n_expected,
    retention.n_profiles,
    expected.n_deleted as n_deleted_expected,
    retention.n_deleted
from expected
full join retention
    on
        expected.snapshot_month = retention.snapshot_month
        and expected.source = retention.source
        and expected.status = retention.status
where
    coalesce(expected.n_profiles, -1) <> coalesce(retention.n_profiles, -1)
    or coalesce(expected.n_deleted, -1) <> coalesce(retention.n_deleted, -1)
    or retention.n_newly_overdue > retention.n_overdue
    or retention.n_due_1m > retention.n_due_3m
    or retention.n_due_3m > retention.n_due_12m
    or retention.n_overdue + retention.n_due_12m > retention.n_profiles
