-- Why: a forecast of another base than the one that is counted says nothing.
-- Returns rows when a horizon lacks a segment, counts others than retention does, or expects more than all who are due.
{{
    config(
        meta={
            'dagster': {'ref': {'name': 'retention_forecast_monthly'}},
            'description': 'Each segment of retention has the three horizons, with its overdue and its due; the expected drain lies between the overdue and all.',
        }
    )
}}

with retention as (

    select * from {{ ref('retention_monthly') }}
    where {{ in_months_of_run() }}

),

forecast as (

    select
        snapshot_month,
        source,
        status,
        count(*) as n_horizons,
        max(n_overdue) as n_overdue,
        sum(case when horizon_months = 1 then n_due else 0 end) as n_due_1m,
        sum(case when horizon_months = 3 then n_due else 0 end) as n_due_3m,
        sum(case when horizon_months = 12 then n_due else 0 end) as n_due_12m,
        sum(
            case
                when n_drained_expected < n_overdue or n_drained_expected > n_drained_at_most then 1
                else 0
            end
        ) as n_out_of_bounds
    from {{ ref('retention_forecast_monthly') }}
    where {{ in_months_of_run() }}
    group by snapshot_month, source, status

)

select
    coalesce(retention.snapshot_month, forecast.snapshot_month) as snapshot_month,
    coalesce(retention.source, forecast.source) as source,
    coalesce(retention.status, forecast.status) as status,
    forecast.n_horizons
from retention
full join forecast
    on
        retention.snapshot_month = forecast.snapshot_month
        and retention.source = forecast.source
        and retention.status = forecast.status
where
    retention.source is null
    or coalesce(forecast.n_horizons, 0) <> 3
    or forecast.n_overdue <> retention.n_overdue
    or forecast.n_due_1m <> retention.n_due_1m
    or forecast.n_due_3m <> retention.n_due_3m
    or forecast.n_due_12m <> retention.n_due_12m
    or forecast.n_out_of_bounds > 0
