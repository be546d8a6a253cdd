-- Grain: month × source, and `all` for the whole base.
{%- set measures = [
    'n_profiles', 'n_active', 'n_new', 'n_optin_any', 'n_contactable_any', 'n_customers', 'n_prospects',
] %}

with status_months as (

    select * from {{ ref('status_monthly') }}
    where {{ in_months_of_run_and(12) }}

),

contact_months as (

    select * from {{ ref('optin_rate_monthly') }}
    where {{ in_months_of_run_and(12) }} and channel = 'any'

),

contactable as (

    select
        snapshot_month,
        {{ source_beside_all() }} as source,
        sum(n_contactable) as n_contactable_any
    from contact_months
    group by snapshot_month, {{ source_beside_all() }}

),

by_status as (

    select
        snapshot_month,
        {{ source_beside_all() }} as source,
        sum(n_profiles) as n_profiles,
        sum(case when is_active then n_profiles else 0 end) as n_active,
        sum(n_new) as n_new,
        sum(n_optin_any) as n_optin_any,
        sum(case when status = 'customer' then n_profiles else 0 end) as n_customers,
        sum(case when status = 'prospect' then n_profiles else 0 end) as n_prospects
    from status_months
    group by snapshot_month, {{ source_beside_all() }}

),

by_source as (

    select
        by_status.snapshot_month,
        by_status.source,
        by_status.n_profiles,
        by_status.n_active,
        by_status.n_new,
        by_status.n_optin_any,
        coalesce(contactable.n_contactable_any, 0) as n_contactable_any,
        by_status.n_customers,
        by_status.n_prospects
    from by_status
    left join contactable
        on by_status.snapshot_month = contactable.snapshot_month and by_status.source = contactable.source

),

with_total as (

    select
        {% for measure in measures -%}
            {{ measure }},
        {% endfor -%}
        snapshot_month,
        source
    from by_source

    union all

    select
        {% for measure in measures -%}
            sum({{ measure }}) as {{ measure }},
        {% endfor -%}
        snapshot_month,
        'all' as source
    from by_source
    group by snapshot_month

),

closed_months as (

    select distinct
        snapshot_month,
        as_of_date,
        definition_version
    from status_months

),

comparable as (

    {{ comparable_months('closed_months', 12) }}

),

-- A source has a row as long as it was there in one of these months, with zero where it is absent.
final as (

    select
        comparable.snapshot_month,
        comparable.as_of_date,
        with_total.source,
        {% for measure in measures -%}
            {{ sum_where(measure, 'comparable.is_this_month') }} as {{ measure }},
        {% endfor -%}
        {% for measure in measures -%}
            case when max(comparable.n_months_before) = 1 then {{ sum_where(measure, 'comparable.is_month_before') }} end
                as {{ measure }}_prev_month,
        {% endfor -%}
        {% for measure in measures -%}
            case when max(comparable.n_years_before) = 1 then {{ sum_where(measure, 'comparable.is_year_before') }} end
                as {{ measure }}_prev_year,
        {% endfor -%}
        {% for measure in measures -%}
            case
                when max(comparable.n_months_in_12m) = 12
                    then cast({{ sum_where(measure, 'comparable.is_in_12m') }} as {{ type_double() }}) / 12
            end as {{ measure }}_mean_12m,
        {% endfor -%}
        {{ is_reconstructed('comparable.snapshot_month') }} as is_reconstructed,
        comparable.definition_version
    from comparable
    inner join with_total on comparable.past_month = with_total.snapshot_month
    group by comparable.snapshot_month, comparable.as_of_date, with_total.source, comparable.definition_version

)

select * from final
