-- Where will the level be in 12 months if nothing changes, and what would 10 % more acquisition or 10 % fewer lapses change?
select
    projection.snapshot_month,
    projection.target_month,
    projection.scenario,
    round(projection.level) as level,
    round(projection.low) as low,
    round(projection.high) as high,
    round(projection.level - as_is.level) as more_than_as_is,
    round(projection.level_active) as level_active,
    round(projection.level_active - as_is.level_active) as more_active_than_as_is
from marts.projection_monthly as projection
inner join marts.projection_monthly as as_is
    on
        projection.snapshot_month = as_is.snapshot_month
        and projection.target_month = as_is.target_month
        and projection.status = as_is.status
where
    as_is.scenario = 'as_is'
    and projection.status = 'all'
    and projection.months_ahead = 12
    and projection.snapshot_month = (select max(snapshot_month) from marts.projection_monthly)
order by projection.scenario
