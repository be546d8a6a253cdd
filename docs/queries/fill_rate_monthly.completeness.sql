-- Completeness of each source at the latest close: fields count by their weight.
select
    source,
    round(100.0 * sum(n_filled * field_weight) / sum(n_profiles * field_weight), 1) as completeness_score
from marts.fill_rate_monthly
where snapshot_month = (select max(snapshot_month) from marts.fill_rate_monthly)
group by source
order by source
