-- How long ago the profiles of each status were last active, at the latest close.
select
    recency_band,
    sum(n_profiles) filter (where status = 'customer') as n_customers,
    sum(n_profiles) filter (where status = 'prospect') as n_prospects
from marts.recency_monthly
where snapshot_month = (select max(snapshot_month) from marts.recency_monthly)
group by recency_band, recency_band_rank
order by recency_band_rank
