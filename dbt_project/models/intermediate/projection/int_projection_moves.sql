-- Grain: month × scenario × months (0, 1) × from state × to state: the share of a state that is in another one a month later,
-- over the last twelve months. With 0 months a state stays as it is: a step of the projection hands on what is counted already.
with months as (

    select * from {{ ref('int_projection_months') }}
    where {{ in_months_of_run() }} and year_back = 0

),

transitions as (

    select * from {{ ref('int_transitions') }}
    where {{ in_months_of_run_and(11) }}

),

scenarios as (

    {{ projection_scenarios() }}

),

counted as (

    select
        months.snapshot_month,
        transitions.from_state,
        transitions.from_status,
        transitions.from_is_active,
        transitions.to_state,
        transitions.to_status,
        transitions.to_is_active,
        transitions.to_months_inactive,
        cast(sum(transitions.n_profiles) as {{ type_double() }}) as n_profiles
    from months
    inner join transitions on months.past_month = transitions.snapshot_month
    group by
        months.snapshot_month, transitions.from_state, transitions.from_status, transitions.from_is_active,
        transitions.to_state, transitions.to_status, transitions.to_is_active, transitions.to_months_inactive

),

judged as (

    select
        *,
        coalesce(from_is_active and not to_is_active, false) as is_lapse,
        -- Who is kept from lapsing did something in the month.
        coalesce(from_is_active and to_is_active and to_months_inactive = 0, false) as is_kept
    from counted
    where from_state is not null

),

rates as (

    select
        *,
        n_profiles / sum(n_profiles) over (partition by snapshot_month, from_state) as rate,
        sum(case when is_lapse then n_profiles else 0 end) over (partition by snapshot_month, from_state) as n_lapsed,
        sum(case when is_kept then n_profiles else 0 end) over (partition by snapshot_month, from_state) as n_kept
    from judged

),

-- Each state once, and whether any profile was seen to leave it or to stay in it.
states as (

    select
        snapshot_month,
        state,
        status,
        is_active,
        max(is_seen) as is_seen
    from (
        select
            snapshot_month,
            from_state as state,
            from_status as status,
            from_is_active as is_active,
            1 as is_seen
        from counted
        where from_state is not null

        union all

        select
            snapshot_month,
            to_state as state,
            to_status as status,
            to_is_active as is_active,
            0 as is_seen
        from counted
        where to_state is not null
    ) as both_sides
    group by snapshot_month, state, status, is_active

),

-- Who is kept from lapsing goes where those of the same state went who did something.
moves as (

    select
        rates.snapshot_month,
        scenarios.scenario,
        1 as months,
        rates.from_state,
        rates.to_state,
        rates.to_status,
        rates.to_is_active,
        rates.rate
        * case
            when rates.is_lapse then scenarios.lapse_factor
            when rates.is_kept then 1 + (1 - scenarios.lapse_factor) * rates.n_lapsed / rates.n_kept
            else 1
        end as rate
    from rates
    cross join scenarios
    where rates.to_state is not null

    union all

    -- Where nobody did, who is kept is as active as before.
    select
        rates.snapshot_month,
        scenarios.scenario,
        1 as months,
        rates.from_state,
        rates.from_state as to_state,
        rates.from_status as to_status,
        rates.from_is_active as to_is_active,
        rates.rate * (1 - scenarios.lapse_factor) as rate
    from rates
    cross join scenarios
    where rates.is_lapse and rates.n_kept = 0 and scenarios.lapse_factor < 1

    union all

    select
        states.snapshot_month,
        scenarios.scenario,
        0 as months,
        states.state as from_state,
        states.state as to_state,
        states.status as to_status,
        states.is_active as to_is_active,
        1 as rate
    from states
    cross join scenarios

    union all

    -- A state that nobody was in before: nothing tells what becomes of it, so it stays.
    select
        states.snapshot_month,
        scenarios.scenario,
        1 as months,
        states.state as from_state,
        states.state as to_state,
        states.status as to_status,
        states.is_active as to_is_active,
        1 as rate
    from states
    cross join scenarios
    where states.is_seen = 0

),

final as (

    select
        snapshot_month,
        scenario,
        cast(months as {{ dbt.type_bigint() }}) as months,
        from_state,
        to_state,
        to_status,
        to_is_active,
        sum(rate) as rate
    from moves
    group by snapshot_month, scenario, months, from_state, to_state, to_status, to_is_active

)

select * from final
