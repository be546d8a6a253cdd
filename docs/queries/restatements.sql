-- What did closed months say before they were restated, and why? The largest changes of the latest restatement.
select
    snapshot_month,
    mart,
    segment,
    measure,
    published_value,
    restated_value,
    cause
from marts.restatements
where restated_at = (select max(restated_at) from marts.restatements)
order by abs(coalesce(restated_value, 0) - coalesce(published_value, 0)) desc, snapshot_month asc, mart asc, segment asc, measure asc
limit 20
