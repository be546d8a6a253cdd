-- Grain: month × source, and `all` for the whole base: the tap, and the prospects it brought by how long ago they registered.
{%- set (new_before, cold_until) = (var('prospect_ages')[0], var('prospect_ages')[1]) %}

with overview as (

    select * from {{ ref('base_overview_monthly') }}
    where {{ in_months_of_run_and(23) }}

),

customer_months as (

    select * from {{ ref('fct_customer_months') }}
    where {{ in_months_of_run() }} and status = 'prospect'

),

closed_months as (

    select * from overview where source = 'all'

),

comparable as (

    {{ comparable_months('closed_months', 23) }}

),

years as (

    select
        comparable.*,
        overview.source,
        overview.n_new,
        max(case when comparable.is_this_month then overview.n_new end) over (
            partition by comparable.snapshot_month, overview.source
        ) as n_new_this_month
    from comparable
    inner join overview on comparable.past_month = overview.snapshot_month

),

acquisition as (

    select
        snapshot_month,
        as_of_date,
        source,
        {{ sum_where('n_new', 'is_this_month') }} as n_new,
        case when max(n_years_before) = 1 then {{ sum_where('n_new', 'is_year_before') }} end as n_new_prev_year,
        case when max(n_months_in_12m) = 12 then {{ sum_where('n_new', 'is_in_12m') }} end as n_new_last_12m,
        -- Months with as many new profiles share a rank.
        case
            when max(n_months_in_12m) = 12 then 1 + {{ sum_where('1', 'is_in_12m and n_new > n_new_this_month') }}
        end as rank_in_last_12m,
        case
            when max(n_months_in_24m) = 24
                then
                    cast(sum(case when is_this_month or is_year_before then n_new else 0 end) as {{ type_double() }}) / 2
                    / nullif(cast(sum(n_new) as {{ type_double() }}) / 24, 0)
        end as seasonality_index
    from years
    where n_new_this_month is not null
    group by snapshot_month, as_of_date, source

),

prospects as (

    select
        snapshot_month,
        source,
        {{ days_between('created_date', 'as_of_date') }} as n_days
    from customer_months

),

prospects_by_source as (

    select
        snapshot_month,
        {{ source_beside_all() }} as source,
        count(case when n_days < {{ new_before }} then 1 end) as n_prospects_new,
        count(case when n_days >= {{ new_before }} and n_days <= {{ cold_until }} then 1 end) as n_prospects_cold,
        count(case when n_days > {{ cold_until }} then 1 end) as n_prospects_dormant
    from prospects
    group by snapshot_month, {{ source_beside_all() }}

),

prospects_with_total as (

    select * from prospects_by_source

    union all

    select
        snapshot_month,
        'all' as source,
        sum(n_prospects_new) as n_prospects_new,
        sum(n_prospects_cold) as n_prospects_cold,
        sum(n_prospects_dormant) as n_prospects_dormant
    from prospects_by_source
    group by snapshot_month

),

final as (

    select
        acquisition.snapshot_month,
        acquisition.as_of_date,
        acquisition.source,
        acquisition.n_new,
        acquisition.n_new_prev_year,
        acquisition.n_new_last_12m,
        acquisition.rank_in_last_12m,
        acquisition.seasonality_index,
        cast(coalesce(prospects.n_prospects_new, 0) as {{ dbt.type_bigint() }}) as n_prospects_new,
        cast(coalesce(prospects.n_prospects_cold, 0) as {{ dbt.type_bigint() }}) as n_prospects_cold,
        cast(coalesce(prospects.n_prospects_dormant, 0) as {{ dbt.type_bigint() }}) as n_prospects_dormant,
        {{ is_reconstructed('acquisition.snapshot_month') }} as is_reconstructed,
        {{ definition_version(['prospect_ages']) }} as definition_version
    from acquisition
    left join prospects_with_total as prospects
        on acquisition.snapshot_month = prospects.snapshot_month and acquisition.source = prospects.source

)

select * from final
