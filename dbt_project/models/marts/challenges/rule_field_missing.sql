-- Grain: month × profile field × source, and `all`. Share without the field among the profiles registered in the last 12
-- months, beside those registered before. Followed are the key fields, and those that the var `challenges` adds.
with fill_rates as (

    select * from {{ ref('fill_rate_monthly') }}
    where
        {{ in_months_of_challenges() }}
        and (is_key_field or field in ({{ quoted_list(var('challenges').more_fields or ['']) }}))

),

by_source as (

    select
        snapshot_month,
        as_of_date,
        definition_version,
        field,
        {{ source_beside_all() }} as source,
        sum(case when registered_within_12m then n_profiles - n_filled else 0 end) as n_missing_new,
        sum(case when registered_within_12m then n_profiles else 0 end) as n_new,
        sum(case when registered_within_12m then 0 else n_profiles - n_filled end) as n_missing_old,
        sum(case when registered_within_12m then 0 else n_profiles end) as n_old
    from fill_rates
    group by snapshot_month, as_of_date, definition_version, field, {{ source_beside_all() }}

),

with_total as (

    select * from by_source

    union all

    select
        snapshot_month,
        as_of_date,
        definition_version,
        field,
        'all' as source,
        sum(n_missing_new) as n_missing_new,
        sum(n_new) as n_new,
        sum(n_missing_old) as n_missing_old,
        sum(n_old) as n_old
    from by_source
    group by snapshot_month, as_of_date, definition_version, field

),

compared as (

    select
        *,
        cast(n_missing_new as {{ type_double() }}) / n_new as observed,
        cast(n_missing_old as {{ type_double() }}) / n_old as baseline,
        cast(n_missing_new + n_missing_old as {{ type_double() }}) / (n_new + n_old) as pooled
    from with_total
    where n_new > 0 and n_old > 0

),

final as (

    select
        snapshot_month,
        as_of_date,
        'field_missing' as rule,
        'field_missing_' || field as challenge_code,
        source,
        cast(n_new as {{ dbt.type_bigint() }}) as n_profiles,
        observed,
        baseline,
        observed - baseline as size,
        (observed - baseline) / nullif(sqrt(pooled * (1 - pooled) * (1.0 / n_new + 1.0 / n_old)), 0) as z_score,
        observed - baseline >= {{ challenge_level('field_missing') }}
        and observed >= {{ var('challenges').missing_from }} as holds,
        definition_version
    from compared

)

select * from final
