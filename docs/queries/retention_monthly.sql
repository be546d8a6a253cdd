-- What is due for deletion in the latest month, by status. The horizons hold each other: do not add them.
select
    status,
    sum(n_profiles) as n_profiles,
    sum(n_overdue) as n_overdue,
    sum(n_due_1m) as n_due_1m,
    sum(n_due_3m) as n_due_3m,
    sum(n_due_12m) as n_due_12m,
    sum(n_deleted) as n_deleted
from marts.retention_monthly
where snapshot_month = (select max(snapshot_month) from marts.retention_monthly)
group by status
order by status
