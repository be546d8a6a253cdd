-- Grain: month × source, and `all`. Share of profiles that are due for deletion and still there.
with retention_months as (

    select * from {{ ref('retention_monthly') }}
    where {{ in_months_of_challenges() }}

),

by_source as (

    select
        snapshot_month,
        as_of_date,
        definition_version,
        {{ source_beside_all() }} as source,
        sum(n_overdue) as n,
        sum(n_profiles) as n_profiles
    from retention_months
    group by snapshot_month, as_of_date, definition_version, {{ source_beside_all() }}

),

with_total as (

    select * from by_source

    union all

    select
        snapshot_month,
        as_of_date,
        definition_version,
        'all' as source,
        sum(n) as n,
        sum(n_profiles) as n_profiles
    from by_source
    group by snapshot_month, as_of_date, definition_version

),

final as (

    select
        snapshot_month,
        as_of_date,
        'retention_overdue' as rule,
        'retention_overdue' as challenge_code,
        source,
        {{ share_measures('retention_overdue') }},
        definition_version
    from with_total
    where n_profiles > 0

)

select * from final
