-- Where will the level be in 12 months if nothing changes, and what would 10 % more acquisition or 10 % fewer lapses change?
select
    projection.snapshot_month,
    projection.target_month,
    projection.scenario,
    round(cast(projection.level as decimal(18, 6)), 0) as level,
    round(cast(projection.low as decimal(18, 6)), 0) as low,
    round(cast(projection.high as decimal(18, 6)), 0) as high,
    round(cast(projection.level - as_is.level as decimal(18, 6)), 0) as more_than_as_is,
    round(cast(projection.level_active as decimal(18, 6)), 0) as level_active,
    round(cast(projection.level_active - as_is.level_active as decimal(18, 6)), 0) as more_active_than_as_is
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
