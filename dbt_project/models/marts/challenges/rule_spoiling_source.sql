-- Grain: month × source. Defects per new profile of twelve months, beside those of the other sources together: placeholders,
-- invalid coordinates, duplicates, opt-ins without a coordinate.
{%- set year -%}
    over (partition by source, definition_version order by month_number range between 11 preceding and current row)
{%- endset %}

with scorecards as (

    select
        *,
        {{ month_number() }} as month_number,
        n_placeholders_new + n_invalid_new + n_duplicate_new + n_optin_no_coordinate_new as n_defects_new
    from {{ ref('source_scorecard_monthly') }}
    where {{ in_months_of_challenges() }}

),

years as (

    select
        snapshot_month,
        as_of_date,
        definition_version,
        {{ source_beside_all() }} as source,
        cast(sum(n_defects_new) {{ year }} as {{ type_double() }}) as n_defects,
        cast(sum(n_new) {{ year }} as {{ type_double() }}) as n_profiles
    from scorecards

),

beside_others as (

    select
        *,
        sum(n_defects) over (partition by snapshot_month) - n_defects as n_defects_others,
        sum(n_profiles) over (partition by snapshot_month) - n_profiles as n_others
    from years

),

final as (

    select
        snapshot_month,
        as_of_date,
        'spoiling_source' as rule,
        'spoiling_source' as challenge_code,
        source,
        cast(n_profiles as {{ dbt.type_bigint() }}) as n_profiles,
        n_defects / n_profiles as observed,
        n_defects_others / n_others as baseline,
        -- One defect more among the others, lest a few make an endless ratio.
        (n_defects / n_profiles) / ((n_defects_others + 1) / n_others) as size,
        -- A profile with one defect often has more: they count as independent only so many at a time.
        (n_defects / n_profiles - n_defects_others / n_others) / nullif(sqrt(
            {{ var('challenges').defects_together }} * (n_defects + n_defects_others) / (n_profiles + n_others)
            * (1 / n_profiles + 1 / n_others)
        ), 0) as z_score,
        (n_defects / n_profiles) / ((n_defects_others + 1) / n_others) >= {{ challenge_level('spoiling_source') }} as holds,
        definition_version
    from beside_others
    where n_profiles > 0 and n_others > 0

)

select * from final
