-- Customers, prospects and conversions by source, at the latest close.
select
    source,
    sum(n_profiles) filter (where status = 'customer') as n_customers,
    sum(n_profiles) filter (where status = 'prospect') as n_prospects,
    sum(n_converted) as n_converted
from marts.status_monthly
where snapshot_month = (select max(snapshot_month) from marts.status_monthly)
group by source
order by n_customers desc
