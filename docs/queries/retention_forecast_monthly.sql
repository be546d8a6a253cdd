-- What will retention drain? The latest month, by horizon: at most, and expected from what the last months did.
select
    horizon_months,
    sum(n_overdue) as n_overdue,
    sum(n_due) as n_due,
    sum(n_drained_at_most) as n_drained_at_most,
    round(cast(sum(n_drained_expected) as decimal(18, 6)), 0) as n_drained_expected
from marts.retention_forecast_monthly
where snapshot_month = (select max(snapshot_month) from marts.retention_forecast_monthly)
group by horizon_months
order by horizon_months
