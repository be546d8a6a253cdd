-- Fill rate of each field among the profiles registered in the last 12 months, at the latest close.
select
    field,
    round(100.0 * sum(n_filled) / sum(n_profiles), 1) as filled_percent
from marts.fill_rate_monthly
where registered_within_12m and snapshot_month = (select max(snapshot_month) from marts.fill_rate_monthly)
group by field, field_rank
order by field_rank
