-- Grain: month × source, and `all`. Share of prospects among the profiles registered in the last 12 months.
with status_months as (

    select * from {{ ref('status_monthly') }}
    where {{ in_months_of_challenges() }} and registered_within_12m

),

by_source as (

    select
        snapshot_month,
        as_of_date,
        definition_version,
        {{ source_beside_all() }} as source,
        sum(case when status = 'prospect' then n_profiles else 0 end) as n,
        sum(n_profiles) as n_profiles
    from status_months
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
        'prospects_among_new' as rule,
        'prospects_among_new' as challenge_code,
        source,
        {{ share_measures('prospects_among_new') }},
        definition_version
    from with_total
    where n_profiles > 0

)

select * from final
