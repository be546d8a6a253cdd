-- Grain: month × past month, up to three years back and without a gap: the months whose step from the close before is known.
-- A step needs both its closes under the definition of the month, and a projection twelve steps: thirteen closed months.
with closed_months as (

    select distinct
        snapshot_month,
        as_of_date,
        definition_version
    from {{ ref('int_transitions') }}
    where {{ in_months_of_run_and(36) }}

),

comparable as (

    {{ comparable_months('closed_months', 36) }}

),

numbered as (

    select
        *,
        {{ months_between('past_month', 'snapshot_month') }} as months_ago
    from comparable

),

steps as (

    select
        *,
        case when months_ago < 12 then 0 when months_ago < 24 then 1 else 2 end as year_back,
        lead(months_ago) over (partition by snapshot_month order by months_ago) = months_ago + 1 as is_step
    from numbered

),

counted as (

    select
        *,
        sum(case when is_step then 1 else 0 end) over (partition by snapshot_month order by months_ago) as n_steps
    from steps
    where months_ago < 36

),

unbroken as (

    select
        *,
        count(*) over (partition by snapshot_month) as n_months,
        count(*) over (partition by snapshot_month, year_back) as n_months_of_year
    from counted
    where n_steps = months_ago + 1

),

final as (

    select
        snapshot_month,
        as_of_date,
        past_month,
        cast(year_back as {{ dbt.type_bigint() }}) as year_back,
        n_months_of_year = 12 as is_whole_year,
        cast(months_ago as {{ dbt.type_bigint() }}) as months_ago,
        -- The same calendar month comes again so many months after the close.
        cast(12 * (year_back + 1) - months_ago as {{ dbt.type_bigint() }}) as months_ahead
    from unbroken
    where n_months >= 12

)

select * from final
