-- Grain: month × source × status × scope (base, active) × movement.
-- For every source and status: opening + sum(sign × n_profiles) = closing.
with customer_months as (

    select * from {{ ref('int_customer_months') }}
    where {{ in_months_of_run() }} and movement is not null

),

movements as (

    select * from {{ ref('movements') }}

),

counted as (

    select
        snapshot_month,
        as_of_date,
        source,
        status,
        opening_source,
        opening_status,
        movement,
        is_in_base,
        is_active,
        opening_is_active,
        definition_version,
        count(*) as n_profiles
    from customer_months
    group by
        snapshot_month, as_of_date, source, status, opening_source, opening_status, movement, is_in_base, is_active,
        opening_is_active, definition_version

),

scoped as (

    select
        *,
        'base' as scope,
        opening_source is not null as was_in,
        is_in_base as is_in
    from counted

    union all

    select
        *,
        'active' as scope,
        coalesce(opening_is_active, false) as was_in,
        is_active as is_in
    from counted

),

-- What became of the profile within the scope.
judged as (

    select
        *,
        case
            when movement = 'transient' and scope = 'base' then 'transient'
            when was_in and not is_in and is_in_base then 'lapsed'
            when was_in and not is_in then movement
            when is_in and not was_in and movement in ('new', 'restored') then movement
            when is_in and not was_in then 'reactivated'
            when is_in then movement
        end as outcome
    from scoped

),

-- A profile that changes segment leaves the one and enters the other.
entered as (

    select
        snapshot_month,
        as_of_date,
        definition_version,
        scope,
        source,
        status,
        case when outcome in ('converted', 'reassigned') then outcome || '_in' else outcome end as movement,
        n_profiles
    from judged
    where is_in or outcome = 'transient'

),

left_segment as (

    select
        snapshot_month,
        as_of_date,
        definition_version,
        scope,
        opening_source as source,
        opening_status as status,
        case when outcome in ('converted', 'reassigned') then outcome || '_out' else outcome end as movement,
        n_profiles
    from judged
    where was_in and outcome <> 'stable'

),

levels as (

    select
        snapshot_month,
        as_of_date,
        definition_version,
        scope,
        opening_source as source,
        opening_status as status,
        'opening' as movement,
        n_profiles
    from judged
    where was_in

    union all

    select
        snapshot_month,
        as_of_date,
        definition_version,
        scope,
        source,
        status,
        'closing' as movement,
        n_profiles
    from judged
    where is_in

),

lines as (

    select * from levels
    union all
    select * from entered
    union all
    select * from left_segment

),

final as (

    select
        lines.snapshot_month,
        lines.as_of_date,
        lines.source,
        lines.status,
        lines.scope,
        lines.movement,
        cast(movements.movement_rank as {{ dbt.type_bigint() }}) as movement_rank,
        cast(movements.sign as {{ dbt.type_bigint() }}) as sign,
        cast(sum(lines.n_profiles) as {{ dbt.type_bigint() }}) as n_profiles,
        {{ is_reconstructed('lines.snapshot_month') }} as is_reconstructed,
        lines.definition_version
    from lines
    inner join movements on lines.movement = movements.movement
    group by
        lines.snapshot_month, lines.as_of_date, lines.source, lines.status, lines.scope, lines.movement,
        movements.movement_rank, movements.sign, lines.definition_version

)

select * from final
