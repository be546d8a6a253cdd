-- The bridge of the latest month, from the opening to the closing level of the base.
select
    movement,
    sign,
    sum(n_profiles) as n_profiles
from marts.flows_monthly
where scope = 'base' and snapshot_month = (select max(snapshot_month) from marts.flows_monthly)
group by movement, movement_rank, sign
order by movement_rank
