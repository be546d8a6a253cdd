-- Which months do not say what they first said, and why?
select
    snapshot_month,
    cause,
    sum(n_changes) as n_changes,
    max(last_restated_date) as last_restated_date
from marts.restatements_monthly
group by snapshot_month, cause
order by snapshot_month, cause
