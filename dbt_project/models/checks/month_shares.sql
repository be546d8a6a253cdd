-- Grain: month × measure × source × item, and the source `all` for the whole base.
{% set parts = [
    'n_no_coordinate', 'n_invalid', 'n_bounced', 'n_untested', 'n_no_optin', 'n_optin_other_coordinate', 'n_contactable',
] %}

with filled as (

    select * from {{ ref('fill_rate_monthly') }}
    where {{ in_months_of_run() }}

),

contacts as (

    select * from {{ ref('optin_rate_monthly') }}
    where {{ in_months_of_run() }}

),

profiles as (

    select * from {{ ref('status_monthly') }}
    where {{ in_months_of_run() }}

),

flows as (

    select * from {{ ref('flows_monthly') }}
    where {{ in_months_of_run() }}

),

bridges as (

    select
        snapshot_month,
        source,
        scope,
        sum(case when movement = 'opening' then n_profiles else 0 end) + sum(sign * n_profiles)
        - sum(case when movement = 'closing' then n_profiles else 0 end) as gap,
        sum(case when movement = 'closing' then n_profiles else 0 end) as n_closing
    from flows
    group by snapshot_month, source, status, scope

),

totals as (

    select
        snapshot_month,
        sum(n_profiles) as n_base
    from profiles
    group by snapshot_month

),

measured as (

    select
        snapshot_month,
        'fill_rate' as measure,
        source,
        field as item,
        n_filled as numerator,
        n_profiles as denominator
    from filled
    union all
    select
        snapshot_month,
        'optin_rate' as measure,
        source,
        channel as item,
        n_opted_in as numerator,
        n_profiles as denominator
    from contacts
    union all
    select
        snapshot_month,
        'contactable_rate' as measure,
        source,
        channel as item,
        n_contactable as numerator,
        n_profiles as denominator
    from contacts
    union all
    select
        snapshot_month,
        'waterfall_gap' as measure,
        source,
        channel as item,
        abs({{ parts | join(' + ') }} - n_profiles) as numerator,
        n_profiles as denominator
    from contacts
    union all
    select
        snapshot_month,
        'flows_gap' as measure,
        source,
        scope as item,
        abs(gap) as numerator,
        n_closing as denominator
    from bridges

),

by_source as (

    select
        snapshot_month,
        measure,
        {{ source_beside_all() }} as source,
        item,
        sum(numerator) as numerator,
        sum(denominator) as denominator
    from measured
    group by snapshot_month, measure, {{ source_beside_all() }}, item

),

whole as (

    select
        snapshot_month,
        measure,
        'all' as source,
        item,
        sum(numerator) as numerator,
        sum(denominator) as denominator
    from by_source
    group by snapshot_month, measure, item

),

source_shares as (

    select
        profiles.snapshot_month,
        'source_share' as measure,
        {{ source_beside_all() }} as source,
        'profiles' as item,
        sum(profiles.n_profiles) as numerator,
        max(totals.n_base) as denominator
    from profiles
    inner join totals on profiles.snapshot_month = totals.snapshot_month
    group by profiles.snapshot_month, {{ source_beside_all() }}

),

together as (

    select * from by_source
    union all
    select * from whole
    union all
    select * from source_shares

),

final as (

    select
        snapshot_month,
        measure,
        source,
        item,
        cast(numerator as {{ dbt.type_bigint() }}) as numerator,
        cast(denominator as {{ dbt.type_bigint() }}) as denominator,
        {{ definition_version() }} as definition_version
    from together

)

select * from final
