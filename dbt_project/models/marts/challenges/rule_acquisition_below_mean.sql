-- Grain: month × source, and `all`. New profiles of the last months beside the pace of the twelve months before each of them.
-- The season comes from last year: a month is expected to bring what it brought then, times what the mean of twelve months has
-- become since. So 25 months are needed before the first.
{%- set n = var('challenges').months_running - 1 %}
{%- set scatter = var('challenges').acquisition_scatter ** 2 %}
{%- set running -%}
    over (partition by source, definition_version order by month_number range between {{ n }} preceding and current row)
{%- endset %}

with overview as (

    select * from {{ ref('base_overview_monthly') }}
    where {{ in_months_of_challenges() }}

),

paced as (

    select
        overview.snapshot_month,
        overview.as_of_date,
        overview.source,
        overview.definition_version,
        {{ month_number('overview.snapshot_month') }} as month_number,
        cast(overview.n_new as {{ type_double() }}) as n_new,
        cast(overview.n_new_prev_year as {{ type_double() }}) as n_new_prev_year,
        month_before.n_new_mean_12m * 12 as n_new_year,
        year_before.n_new_mean_12m * 12 as n_new_year_before,
        overview.n_new_prev_year * month_before.n_new_mean_12m / year_before.n_new_mean_12m as n_expected
    from overview
    inner join overview as month_before
        on
            {{ add_months('overview.snapshot_month', -1) }} = month_before.snapshot_month
            and overview.source = month_before.source
            and overview.definition_version = month_before.definition_version
    inner join overview as year_before
        on
            {{ add_months('overview.snapshot_month', -13) }} = year_before.snapshot_month
            and overview.source = year_before.source
            and overview.definition_version = year_before.definition_version
    where year_before.n_new_mean_12m > 0 and month_before.n_new_mean_12m > 0 and overview.n_new_prev_year is not null

),

summed as (

    select
        *,
        sum(n_new) {{ running }} as n_new_running,
        sum(n_expected) {{ running }} as n_expected_running,
        sum(n_new_prev_year) {{ running }} as n_prev_year_running,
        count(*) {{ running }} as n_months_running
    from paced

),

final as (

    select
        snapshot_month,
        as_of_date,
        'acquisition_below_mean' as rule,
        'acquisition_below_mean' as challenge_code,
        source,
        cast(floor(n_expected_running) as {{ dbt.type_bigint() }}) as n_profiles,
        n_new_running / n_months_running as observed,
        n_expected_running / n_months_running as baseline,
        (n_expected_running - n_new_running) / n_expected_running as size,
        -- Four counts are compared, each with its own chance and its own scatter.
        (n_expected_running - n_new_running) / (n_expected_running * sqrt(
            1 / n_expected_running + 1 / n_prev_year_running + 1 / n_new_year + 1 / n_new_year_before
            + {{ scatter }} * (2.0 / n_months_running + 2.0 / 12)
        )) as z_score,
        n_new < n_expected as holds,
        definition_version
    from summed
    where n_months_running = {{ n + 1 }} and n_expected_running > 0

)

select * from final
