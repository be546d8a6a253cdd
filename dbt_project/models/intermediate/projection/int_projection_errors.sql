-- Grain: month × status, and `all`: by how many profiles a step missed the level over the last twelve months, as a root mean
-- square. Arrivals are compared with the same month last year, else with the mean of the twelve.
with months as (

    select
        *,
        max(year_back) over (partition by snapshot_month) as n_years_before
    from {{ ref('int_projection_months') }}
    where {{ in_months_of_run() }} and is_whole_year

),

transitions as (

    select * from {{ ref('int_transitions') }}
    where {{ in_months_of_run_and(23) }}

),

moves as (

    select * from {{ ref('int_projection_moves') }}
    where {{ in_months_of_run() }} and scenario = 'as_is' and months = 1

),

stepped as (

    select
        months.snapshot_month,
        months.year_back,
        months.months_ahead,
        months.n_years_before,
        transitions.from_state,
        transitions.to_status,
        transitions.to_is_active,
        cast(transitions.n_profiles as {{ type_double() }}) as n_profiles
    from months
    inner join transitions on months.past_month = transitions.snapshot_month
    where months.year_back < 2

),

opening as (

    select
        snapshot_month,
        months_ahead,
        from_state,
        sum(n_profiles) as n_profiles
    from stepped
    where year_back = 0 and from_state is not null
    group by snapshot_month, months_ahead, from_state

),

-- What came less what was to come: each month of the last twelve is known by how many months ahead it comes again.
surprises as (

    select
        snapshot_month,
        months_ahead,
        to_status as status,
        to_is_active as is_active,
        n_profiles
    from stepped
    where year_back = 0 and to_status is not null

    union all

    select
        opening.snapshot_month,
        opening.months_ahead,
        moves.to_status as status,
        moves.to_is_active as is_active,
        -opening.n_profiles * moves.rate as n_profiles
    from opening
    inner join moves on opening.snapshot_month = moves.snapshot_month and opening.from_state = moves.from_state

    union all

    select
        snapshot_month,
        months_ahead,
        to_status as status,
        to_is_active as is_active,
        -n_profiles as n_profiles
    from stepped
    where from_state is null and year_back = 1

    union all

    select
        stepped.snapshot_month,
        months.months_ahead,
        stepped.to_status as status,
        stepped.to_is_active as is_active,
        -stepped.n_profiles / 12 as n_profiles
    from stepped
    inner join months on stepped.snapshot_month = months.snapshot_month
    where stepped.from_state is null and stepped.n_years_before = 0

),

by_month as (

    select
        snapshot_month,
        months_ahead,
        status,
        sum(n_profiles) as n_profiles,
        sum(case when is_active then n_profiles else 0 end) as n_active
    from surprises
    group by snapshot_month, months_ahead, status

),

with_all as (

    select * from by_month

    union all

    select
        snapshot_month,
        months_ahead,
        'all' as status,
        sum(n_profiles) as n_profiles,
        sum(n_active) as n_active
    from by_month
    group by snapshot_month, months_ahead

),

final as (

    select
        snapshot_month,
        status,
        round(sqrt(sum(n_profiles * n_profiles) / 12), 6) as error_level,
        round(sqrt(sum(n_active * n_active) / 12), 6) as error_active
    from with_all
    group by snapshot_month, status

)

select * from final
