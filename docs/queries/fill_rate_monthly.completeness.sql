-- Completeness of each source at the latest close: fields count by their weight.
select
    source,
    round(cast(100 * sum(n_filled * field_weight) / sum(n_profiles * field_weight) as decimal(18, 6)), 1) as completeness_score
from marts.fill_rate_monthly
where snapshot_month = (select max(snapshot_month) from marts.fill_rate_monthly)
group by source
order by source
