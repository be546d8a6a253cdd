-- Grain: rule × month × source, and `all`. Counts of the overview that should not fall, beside those they are compared with.
{%- set scatter = var('challenges').acquisition_scatter ** 2 %}

with overview as (

    select * from {{ ref('base_overview_monthly') }}
    where {{ in_months_of_challenges() }}

),

-- `scatter` is what the count varies by besides chance; the active of a year are the work of twelve months.
rules as (

    {% for rule, scatter in {
        'month_weak_against_last_year': scatter,
        'optin_cliff': 0,
        'filling_with_inactive': scatter / 12,
        'base_draining': scatter / 12,
    }.items() -%}
        select
            '{{ rule }}' as rule,
            {{ scatter }} as scatter,
            {{ challenge_level(rule) }} as level
        {{ 'union all' if not loop.last }}
    {% endfor %}

),

compared as (

    select
        overview.snapshot_month,
        overview.as_of_date,
        overview.source,
        overview.definition_version,
        rules.rule,
        rules.scatter,
        rules.level,
        cast(case rules.rule
            when 'month_weak_against_last_year' then overview.n_new
            when 'optin_cliff' then overview.n_optin_any
            else overview.n_active
        end as {{ type_double() }}) as observed,
        cast(case
            when rules.rule = 'month_weak_against_last_year' then overview.n_new_prev_year
            when rules.rule = 'optin_cliff' then overview.n_optin_any_prev_month
            when
                (rules.rule = 'filling_with_inactive') = (overview.n_profiles > overview.n_profiles_prev_year)
                then overview.n_active_prev_year
        end as {{ type_double() }}) as baseline
    from overview
    cross join rules

),

final as (

    select
        snapshot_month,
        as_of_date,
        rule,
        rule as challenge_code,
        source,
        cast(baseline as {{ dbt.type_bigint() }}) as n_profiles,
        observed,
        baseline,
        (baseline - observed) / baseline as size,
        (baseline - observed)
        / sqrt(baseline + observed + 2 * scatter * (baseline + observed) / 2 * (baseline + observed) / 2) as z_score,
        (baseline - observed) / baseline >= level as holds,
        definition_version
    from compared
    where baseline > 0

)

select * from final
