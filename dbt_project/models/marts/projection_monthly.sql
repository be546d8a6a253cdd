-- Grain: month × target month × scenario × status (and `all`): where the level and its active part will be.
-- Each step moves what is counted so far by a month, and hands on what is counted for the months before (0 months).
{#- Student's t with 12 degrees of freedom: the error is known from twelve misses. #}
{%- set errors_in = {50: 0.695483, 80: 1.356217, 90: 1.782288, 95: 2.178813}[var('projection')['interval']] %}

with months as (

    select * from {{ ref('int_projection_months') }}
    where {{ in_months_of_run() }} and year_back = 0

),

step_0 as (

    select * from {{ ref('int_projection_entries') }}
    where {{ in_months_of_run() }}

),

moves as (

    select * from {{ ref('int_projection_moves') }}
    where {{ in_months_of_run() }}

),

errors as (

    select * from {{ ref('int_projection_errors') }}
    where {{ in_months_of_run() }}

),

{% for step in range(1, 13) -%}
    step_{{ step }} as (

        select
            counted.snapshot_month,
            counted.scenario,
            counted.months_ahead + moves.months as months_ahead,
            moves.to_state as state,
            {% if loop.last -%}
                moves.to_status,
                moves.to_is_active,
            {% endif -%}
            sum(counted.n_profiles * moves.rate) as n_profiles
        from step_{{ step - 1 }} as counted
        inner join moves
            on
                counted.snapshot_month = moves.snapshot_month
                and counted.scenario = moves.scenario
                and counted.state = moves.from_state
                and (moves.months = 0 or counted.months_ahead = {{ step - 1 }})
        group by
            counted.snapshot_month, counted.scenario, counted.months_ahead + moves.months, moves.to_state
            {%- if loop.last %}, moves.to_status, moves.to_is_active{% endif %}

    ),

{% endfor -%}
scenarios as (

    select distinct
        snapshot_month,
        scenario
    from moves

),

levels as (

    select
        months.snapshot_month,
        months.as_of_date,
        months.months_ahead,
        scenarios.scenario,
        errors.status,
        coalesce(sum(projected.n_profiles), 0) as level,
        coalesce(sum(case when projected.to_is_active then projected.n_profiles end), 0) as level_active,
        max(errors.error_level) * months.months_ahead * {{ errors_in }} as margin,
        max(errors.error_active) * months.months_ahead * {{ errors_in }} as margin_active
    from months
    inner join scenarios on months.snapshot_month = scenarios.snapshot_month
    inner join errors on months.snapshot_month = errors.snapshot_month
    left join step_12 as projected
        on
            months.snapshot_month = projected.snapshot_month
            and months.months_ahead = projected.months_ahead
            and scenarios.scenario = projected.scenario
            and (errors.status = projected.to_status or errors.status = 'all')
    group by
        months.snapshot_month, months.as_of_date, months.months_ahead, scenarios.scenario, errors.status

),

final as (

    select
        snapshot_month,
        as_of_date,
        {{ add_months('snapshot_month', 'cast(months_ahead as ' ~ dbt.type_int() ~ ')') }} as target_month,
        months_ahead,
        scenario,
        status,
        {% for suffix in ['', '_active'] -%}
            cast(round(level{{ suffix }}, 6) as {{ type_double() }}) as level{{ suffix }},
            cast(round(greatest(level{{ suffix }} - margin{{ suffix }}, 0), 6) as {{ type_double() }}) as low{{ suffix }},
            cast(round(level{{ suffix }} + margin{{ suffix }}, 6) as {{ type_double() }}) as high{{ suffix }},
        {% endfor -%}
        {{ is_reconstructed() }} as is_reconstructed,
        {{ definition_version(['projection']) }} as definition_version
    from levels

)

select * from final
