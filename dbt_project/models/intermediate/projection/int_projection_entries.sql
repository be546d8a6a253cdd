-- Grain: month × scenario × months ahead × state: what enters the projection. 0 months ahead: the level at the close. From 1:
-- who arrives, as many in a year as in the last twelve months, spread over the months of the year as in the last years.
with months as (

    select * from {{ ref('int_projection_months') }}
    where {{ in_months_of_run() }}

),

transitions as (

    select * from {{ ref('int_transitions') }}
    where {{ in_months_of_run_and(35) }} and to_state is not null

),

scenarios as (

    {{ projection_scenarios() }}

),

at_close as (

    select
        months.snapshot_month,
        cast(0 as {{ dbt.type_bigint() }}) as months_ahead,
        transitions.to_state as state,
        false as is_new,
        cast(sum(transitions.n_profiles) as {{ type_double() }}) as n_profiles
    from months
    inner join transitions on months.past_month = transitions.snapshot_month
    where months.months_ago = 0
    group by months.snapshot_month, transitions.to_state

),

arrived as (

    select
        months.snapshot_month,
        months.year_back,
        months.months_ahead,
        transitions.to_state as state,
        transitions.is_new,
        transitions.n_profiles
    from months
    inner join transitions on months.past_month = transitions.snapshot_month
    where transitions.from_state is null

),

in_12m as (

    select
        snapshot_month,
        state,
        is_new,
        cast(sum(case when year_back = 0 then n_profiles else 0 end) as {{ type_double() }}) as n_profiles
    from arrived
    group by snapshot_month, state, is_new

),

seasons as (

    select
        snapshot_month,
        is_new,
        months_ahead,
        n_profiles / sum(n_profiles) over (partition by snapshot_month, is_new) as share
    from (
        select
            snapshot_month,
            is_new,
            months_ahead,
            cast(sum(n_profiles) as {{ type_double() }}) as n_profiles
        from arrived
        group by snapshot_month, is_new, months_ahead
    ) as arrived_by_month

),

entries as (

    select * from at_close

    union all

    select
        in_12m.snapshot_month,
        seasons.months_ahead,
        in_12m.state,
        in_12m.is_new,
        in_12m.n_profiles * seasons.share as n_profiles
    from in_12m
    inner join seasons on in_12m.snapshot_month = seasons.snapshot_month and in_12m.is_new = seasons.is_new
    where in_12m.n_profiles > 0

),

final as (

    select
        entries.snapshot_month,
        scenarios.scenario,
        entries.months_ahead,
        entries.state,
        round(
            sum(entries.n_profiles * case when entries.is_new then scenarios.acquisition_factor else 1 end), 6
        ) as n_profiles
    from entries
    cross join scenarios
    group by entries.snapshot_month, scenarios.scenario, entries.months_ahead, entries.state

)

select * from final
