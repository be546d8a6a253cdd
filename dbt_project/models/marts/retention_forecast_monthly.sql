-- Grain: month × source × status × horizon: what retention will drain, some of those who are due making contact in time.
with retention as (

    select * from {{ ref('retention_monthly') }}
    where {{ in_months_of_run_and(12) }}

),

closed_months as (

    select distinct
        snapshot_month,
        as_of_date,
        definition_version
    from retention

),

comparable as (

    {{ comparable_months('closed_months', 12) }}

),

horizons as (

    {% for months in [1, 3, 12] -%}
        select {{ months }} as horizon_months{{ ' union all' if not loop.last }}
    {% endfor %}

),

months_ago as (

    select
        snapshot_month,
        as_of_date,
        definition_version,
        past_month,
        (extract(year from snapshot_month) - extract(year from past_month)) * 12
        + extract(month from snapshot_month) - extract(month from past_month) as n_months_ago
    from comparable

),

-- The closed month, and those before it back to as long ago as the forecast looks ahead.
past_months as (

    select
        months_ago.*,
        horizons.horizon_months,
        count(*) over (partition by months_ago.snapshot_month, horizons.horizon_months) as n_past_months
    from months_ago
    inner join horizons on months_ago.n_months_ago <= horizons.horizon_months

),

years as (

    select
        past_months.snapshot_month,
        past_months.as_of_date,
        past_months.definition_version,
        past_months.n_months_ago,
        past_months.horizon_months,
        past_months.n_past_months > past_months.horizon_months as is_comparable,
        retention.source,
        retention.status,
        retention.n_overdue,
        retention.n_newly_overdue,
        case past_months.horizon_months
            when 1 then retention.n_due_1m
            when 3 then retention.n_due_3m
            else retention.n_due_12m
        end as n_due
    from past_months
    inner join retention on past_months.past_month = retention.snapshot_month

),

segments as (

    select
        snapshot_month,
        as_of_date,
        definition_version,
        source,
        status,
        horizon_months,
        is_comparable,
        {{ sum_where('n_overdue', 'n_months_ago = 0') }} as n_overdue,
        {{ sum_where('n_due', 'n_months_ago = 0') }} as n_due,
        {{ sum_where('n_due', 'n_months_ago = horizon_months') }} as n_due_then,
        {{ sum_where('n_newly_overdue', 'n_months_ago < horizon_months') }} as n_overdue_since,
        max(case when n_months_ago = 0 then 1 else 0 end) as is_present
    from years
    group by snapshot_month, as_of_date, definition_version, source, status, horizon_months, is_comparable

),

-- Of all sources together: one source has too few.
shares as (

    select
        *,
        cast(sum(n_overdue_since) over (partition by snapshot_month, status, horizon_months) as {{ type_double() }})
        / nullif(sum(n_due_then) over (partition by snapshot_month, status, horizon_months), 0) as share_of_due
    from segments

),

final as (

    select
        snapshot_month,
        as_of_date,
        source,
        status,
        cast(horizon_months as {{ dbt.type_bigint() }}) as horizon_months,
        n_overdue,
        n_due,
        n_overdue + n_due as n_drained_at_most,
        case
            when is_comparable then n_overdue + n_due * case when share_of_due > 1 then 1 else share_of_due end
        end as n_drained_expected,
        {{ is_reconstructed() }} as is_reconstructed,
        definition_version
    from shares
    where is_present = 1

)

select * from final
