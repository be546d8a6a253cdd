-- Why: a projection from another level than the one closed is of another base.
-- Returns rows when what enters at the close is not the level, or a state gives away more than all it has.
{{
    config(
        meta={
            'dagster': {'ref': {'name': 'int_projection_entries'}},
            'description': 'At 0 months ahead, every scenario has the profiles and the active ones of the close; no state gives more than all it has.',
        }
    )
}}

with entries as (

    select
        entries.snapshot_month,
        entries.scenario,
        sum(entries.n_profiles) as n_profiles,
        sum(case when moves.to_is_active then entries.n_profiles else 0 end) as n_active
    from {{ ref('int_projection_entries') }} as entries
    inner join {{ ref('int_projection_moves') }} as moves
        on
            entries.snapshot_month = moves.snapshot_month
            and entries.scenario = moves.scenario
            and entries.state = moves.from_state
    where {{ in_months_of_run('entries.snapshot_month') }} and entries.months_ahead = 0 and moves.months = 0
    group by entries.snapshot_month, entries.scenario

),

overview as (

    select * from {{ ref('base_overview_monthly') }}
    where {{ in_months_of_run() }} and source = 'all'

),

overfull as (

    select
        snapshot_month,
        scenario,
        from_state
    from {{ ref('int_projection_moves') }}
    where {{ in_months_of_run() }}
    group by snapshot_month, scenario, months, from_state
    having sum(rate) > 1.000001 or min(rate) < 0

)

select
    entries.snapshot_month,
    entries.scenario,
    cast(null as {{ dbt.type_string() }}) as from_state
from entries
left join overview on entries.snapshot_month = overview.snapshot_month
where
    overview.snapshot_month is null
    or entries.n_profiles <> overview.n_profiles
    or entries.n_active <> overview.n_active

union all

select * from overfull
