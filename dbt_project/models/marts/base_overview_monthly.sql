-- Grain: month × source, and `all` for the whole base.
{%- set measures = [
    'n_profiles', 'n_active', 'n_new', 'n_optin_any', 'n_contactable_any', 'n_customers', 'n_prospects',
] -%}
{#- `all` is the whole base; a source of that name gives way. -#}
{%- set source = "case when source = 'all' then 'all (source)' else source end" %}

with status_months as (

    select * from {{ ref('status_monthly') }}
    where {{ in_months_of_run_and_before() }}

),

contact_months as (

    select * from {{ ref('optin_rate_monthly') }}
    where {{ in_months_of_run_and_before() }} and channel = 'any'

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
        as_of_date,
        {{ source }} as source,
        sum(n_profiles) as n_profiles,
        sum(case when is_active then n_profiles else 0 end) as n_active,
        sum(n_new) as n_new,
        sum(n_optin_any) as n_optin_any,
        sum(case when status = 'customer' then n_profiles else 0 end) as n_customers,
        sum(case when status = 'prospect' then n_profiles else 0 end) as n_prospects,
        max(definition_version) as definition_version
    from status_months
    group by snapshot_month, as_of_date, {{ source }}

),

by_source as (

    select
        by_status.snapshot_month,
        by_status.as_of_date,
        by_status.source,
        by_status.n_profiles,
        by_status.n_active,
        by_status.n_new,
        by_status.n_optin_any,
        coalesce(contactable.n_contactable_any, 0) as n_contactable_any,
        by_status.n_customers,
        by_status.n_prospects,
        by_status.definition_version
    from by_status
    left join contactable
        on by_status.snapshot_month = contactable.snapshot_month and by_status.source = contactable.source

),

with_total as (

    select
        snapshot_month,
        as_of_date,
        source,
        {% for measure in measures -%}
            {{ measure }},
        {% endfor -%}
        definition_version
    from by_source

    union all

    select
        snapshot_month,
        as_of_date,
        'all' as source,
        {% for measure in measures -%}
            sum({{ measure }}) as {{ measure }},
        {% endfor -%}
        max(definition_version) as definition_version
    from by_source
    group by snapshot_month, as_of_date

),

closed_months as (

    select * from with_total where source = 'all'

),

-- A source that is there this month or was there the month before, and zero where it is absent from a closed month.
sources as (

    select
        snapshot_month,
        source
    from with_total

    union distinct

    select
        closed_months.snapshot_month,
        with_total.source
    from closed_months
    inner join with_total on with_total.snapshot_month = {{ add_months('closed_months.snapshot_month', -1) }}

),

final as (

    select
        closed_months.snapshot_month,
        closed_months.as_of_date,
        sources.source,
        {% for measure in measures -%}
            cast(coalesce(this_month.{{ measure }}, 0) as {{ dbt.type_bigint() }}) as {{ measure }},
        {% endfor -%}
        {% for measure in measures -%}
            cast(
                case when month_before.snapshot_month is not null then coalesce(source_before.{{ measure }}, 0) end
                as {{ dbt.type_bigint() }}
            ) as {{ measure }}_prev_month,
        {% endfor -%}
        closed_months.definition_version
    from sources
    inner join closed_months on sources.snapshot_month = closed_months.snapshot_month
    left join with_total as this_month
        on sources.snapshot_month = this_month.snapshot_month and sources.source = this_month.source
    left join closed_months as month_before
        on month_before.snapshot_month = {{ add_months('sources.snapshot_month', -1) }}
    left join with_total as source_before
        on
            source_before.snapshot_month = {{ add_months('sources.snapshot_month', -1) }}
            and sources.source = source_before.source
    where {{ in_months_of_run('closed_months.snapshot_month') }}

)

select * from final
