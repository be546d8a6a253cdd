-- What does the base hide? The findings of the latest month, the most severe first; `make challenges` puts them into sentences.
select
    challenge_code,
    source,
    severity,
    round(cast(observed as decimal(18, 6)), 3) as observed,
    round(cast(baseline as decimal(18, 6)), 3) as baseline,
    n_evidence_months,
    n_profiles,
    suggested_action
from marts.challenges_monthly
where snapshot_month = (select max(snapshot_month) from marts.base_overview_monthly)
order by case severity when 'critical' then 1 when 'warning' then 2 else 3 end, n_evidence_months, challenge_code, source
