-- Grain: month × scenario × months ahead × state: what enters the projection. 0 months ahead: the level at the close. From 1:
-- who arrives, as over the last twelve months, by the season of the last years, and as many as come at the time of the close.
with months as (

    select
        *,
        max(months_ago) over (partition by snapshot_month) as longest_ago
    from {{ ref('int_projection_months') }}
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
        months.is_whole_year,
        months.months_ago,
        months.longest_ago,
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
        where is_whole_year
        group by snapshot_month, is_new, months_ahead
    ) as arrived_by_month

),

-- The tap now to the tap a year ago. A month of the past year is raised by what has come since; the last one is as it is now.
trends as (

    select
        snapshot_month,
        case
            when max(longest_ago) < 14 or sum(case when months_ago >= 12 then n_profiles else 0 end) = 0 then 1
            else
                least(
                    greatest(
                        cast(sum(case when months_ago < 3 then n_profiles else 0 end) as {{ type_double() }})
                        / sum(case when months_ago >= 12 then n_profiles else 0 end),
                        0.25
                    ),
                    4
                )
        end as growth_in_12m
    from arrived
    where is_new and (months_ago < 3 or (months_ago >= 12 and months_ago < 15))
    group by snapshot_month

),

entries as (

    select * from at_close

    union all

    select
        in_12m.snapshot_month,
        seasons.months_ahead,
        in_12m.state,
        in_12m.is_new,
        in_12m.n_profiles
        * seasons.share
        * case
            when in_12m.is_new and trends.growth_in_12m is not null
                then power(trends.growth_in_12m, cast(12 - seasons.months_ahead as {{ type_double() }}) / 12)
            else 1
        end as n_profiles
    from in_12m
    inner join seasons on in_12m.snapshot_month = seasons.snapshot_month and in_12m.is_new = seasons.is_new
    left join trends on in_12m.snapshot_month = trends.snapshot_month
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
