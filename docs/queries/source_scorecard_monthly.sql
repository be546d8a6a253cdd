-- Which source spoils the base, and what it did to the fill rate of the key fields, in points, at the latest close.
select
    source,
    n_profiles,
    n_new,
    defect_rank,
    round(100.0 * n_key_fields_filled / n_key_values, 1) as filled_percent,
    round(100.0 * n_placeholders / n_values, 1) as placeholder_percent,
    round(100.0 * n_duplicate / n_profiles, 1) as duplicate_percent,
    round(cast(100 * fill_rate_effect as decimal(18, 6)), 3) as by_its_own_quality,
    round(cast(100 * fill_mix_effect as decimal(18, 6)), 3) as by_its_weight
from marts.source_scorecard_monthly
where snapshot_month = (select max(snapshot_month) from marts.source_scorecard_monthly) and n_profiles > 0
order by defect_rank, source
