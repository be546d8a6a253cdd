-- Grain: month × source, and `all` for the whole base.
{%- set measures = [
    'n_profiles', 'n_active', 'n_new', 'n_optin_any', 'n_contactable_any', 'n_customers', 'n_prospects',
] -%}
{#- `all` is the whole base; a source of that name gives way. -#}
{%- set source = "case when source = 'all' then 'all (source)' else source end" %}

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
        {{ source }} as source,
        sum(n_contactable) as n_contactable_any
    from contact_months
    group by snapshot_month, {{ source }}

),

by_status as (

    select
        snapshot_month,
        {{ source }} as source,
        sum(n_profiles) as n_profiles,
        sum(case when is_active then n_profiles else 0 end) as n_active,
        sum(n_new) as n_new,
        sum(n_optin_any) as n_optin_any,
        sum(case when status = 'customer' then n_profiles else 0 end) as n_customers,
        sum(case when status = 'prospect' then n_profiles else 0 end) as n_prospects
    from status_months
    group by snapshot_month, {{ source }}

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

-- Each closed month beside those of the year before that are closed under its definition, itself among them.
years as (

    select
        present.snapshot_month,
        present.as_of_date,
        present.definition_version,
        past.snapshot_month as past_month,
        past.snapshot_month = present.snapshot_month as is_this_month,
        past.snapshot_month = {{ add_months('present.snapshot_month', -1) }} as is_month_before,
        past.snapshot_month = {{ add_months('present.snapshot_month', -12) }} as is_year_before,
        past.snapshot_month > {{ add_months('present.snapshot_month', -12) }} as is_in_12m
    from closed_months as present
    inner join closed_months as past
        on
            present.snapshot_month >= past.snapshot_month
            and {{ add_months('present.snapshot_month', -12) }} <= past.snapshot_month
            and present.definition_version = past.definition_version
    where {{ in_months_of_run('present.snapshot_month') }}

),

comparable as (

    select
        *,
        max(case when is_month_before then 1 else 0 end) over (partition by snapshot_month) as n_months_before,
        max(case when is_year_before then 1 else 0 end) over (partition by snapshot_month) as n_years_before,
        sum(case when is_in_12m then 1 else 0 end) over (partition by snapshot_month) as n_months_in_12m
    from years

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
        comparable.definition_version
    from comparable
    inner join with_total on comparable.past_month = with_total.snapshot_month
    group by comparable.snapshot_month, comparable.as_of_date, with_total.source, comparable.definition_version

)

select * from final
