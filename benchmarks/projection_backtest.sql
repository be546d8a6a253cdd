-- Grain: month × target month × status × scope: what was projected then, by the mart and by two naive ways, and what came.
with status_months as (

    select
        snapshot_month,
        status,
        definition_version,
        sum(n_profiles) as n_profiles,
        sum(case when is_active then n_profiles else 0 end) as n_active
    from marts.status_monthly
    group by snapshot_month, status, definition_version

),

with_all as (

    select * from status_months

    union all

    select
        snapshot_month,
        'all' as status,
        definition_version,
        sum(n_profiles) as n_profiles,
        sum(n_active) as n_active
    from status_months
    group by snapshot_month, definition_version

),

levels as (

    select snapshot_month, status, definition_version, 'base' as scope, n_profiles from with_all

    union all

    select snapshot_month, status, definition_version, 'active' as scope, n_active as n_profiles from with_all

),

projected as (

    select snapshot_month, target_month, months_ahead, status, 'base' as scope, level, low, high
    from marts.projection_monthly
    where scenario = 'as_is'

    union all

    select
        snapshot_month, target_month, months_ahead, status, 'active' as scope, level_active as level, low_active as low,
        high_active as high
    from marts.projection_monthly
    where scenario = 'as_is'

),

compared as (

    select
        projected.*,
        came.n_profiles as came,
        present.n_profiles as last_value,
        present.n_profiles + projected.months_ahead * (present.n_profiles - coalesce(past.n_profiles, 0)) / 12 as last_growth
    from projected
    inner join levels as came
        on
            projected.target_month = came.snapshot_month
            and projected.status = came.status
            and projected.scope = came.scope
    inner join levels as present
        on
            projected.snapshot_month = present.snapshot_month
            and came.status = present.status
            and came.scope = present.scope
            and came.definition_version = present.definition_version
    left join levels as past
        on
            projected.snapshot_month = past.snapshot_month + interval 12 month
            and came.status = past.status
            and came.scope = past.scope
    where came.n_profiles > 0

)

select
    scope,
    status,
    months_ahead,
    count(*) as n,
    100 * avg(abs(level - came) / came) as projection,
    100 * avg((level - came) / came) as too_high,
    100 * avg(abs(last_value - came) / came) as last_value,
    100 * avg(abs(last_growth - came) / came) as last_growth,
    100 * avg(case when came >= low and came <= high then 1 else 0 end) as within
from compared
where
    target_month <= cast(? as date)
    and months_ahead in (1, 3, 6, 12)
group by scope, status, months_ahead
order by scope desc, status, months_ahead
