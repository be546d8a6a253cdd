-- Why: a level outside its own interval, or fewer profiles from more acquisition, is an error of the arithmetic.
-- Returns rows when a projection lacks months, leaves its interval, or a lever pulls the wrong way.
{{
    config(
        meta={
            'dagster': {'ref': {'name': 'projection_monthly'}},
            'description': 'Twelve months for each scenario; low <= level <= high; the statuses add up to all; more acquisition never gives fewer profiles; fewer lapses never give fewer active ones a month ahead.',
        }
    )
}}

with months as (

    select distinct snapshot_month from {{ ref('int_projection_months') }}
    where {{ in_months_of_run() }}

),

projection as (

    select * from {{ ref('projection_monthly') }}
    where {{ in_months_of_run() }}

),

targets as (

    select
        snapshot_month,
        target_month,
        months_ahead,
        max(case when scenario = 'as_is' and status = 'all' then level end) as level,
        max(case when scenario = 'as_is' and status = 'all' then level_active end) as level_active,
        max(case when scenario = 'more_acquisition' and status = 'all' then level end) as more_level,
        max(case when scenario = 'more_acquisition' and status = 'all' then level_active end) as more_active,
        max(case when scenario = 'fewer_lapses' and status = 'all' then level_active end) as fewer_active,
        sum(case when status = 'all' then level else -level end) as level_not_explained,
        sum(case when status = 'all' then level_active else -level_active end) as active_not_explained,
        sum(
            case
                when level < low or level > high or level_active < low_active or level_active > high_active then 1
                when level_active > level + 0.00001 then 1
                else 0
            end
        ) as n_outside
    from projection
    group by snapshot_month, target_month, months_ahead

)

select
    months.snapshot_month,
    targets.target_month
from months
left join targets on months.snapshot_month = targets.snapshot_month
where
    targets.target_month is null
    or targets.n_outside > 0
    or abs(targets.level_not_explained) > 0.0001
    or abs(targets.active_not_explained) > 0.0001
    or coalesce(targets.more_level < targets.level - 0.00001, true)
    or coalesce(targets.more_active < targets.level_active - 0.00001, true)
    or coalesce(targets.months_ahead = 1 and targets.fewer_active < targets.level_active - 0.00001, true)

union all

select
    snapshot_month,
    cast(null as date) as target_month
from targets
group by snapshot_month
having count(*) <> 12
