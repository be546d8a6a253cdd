-- Grain: month × state at the close before × state at its close. Null before: arrived in the month; null after: gone.
{%- set state = ['status', 'is_active', 'registered_within_12m', 'months_inactive'] %}
{#- Past three years without activity, a month more tells nothing: the default of retention_months deletes by then. #}
{%- set longest = 36 %}

with opening as (

    select
        {{ add_months('snapshot_month', 1) }} as snapshot_month,
        customer_id,
        status,
        is_active,
        registered_within_12m,
        least({{ months_between('last_activity_date', 'snapshot_month') }}, {{ longest }}) as months_inactive
    from {{ ref('fct_customer_months') }}
    where {{ in_months_of_run(add_months('snapshot_month', 1)) }} and {{ in_months_of_run_and(1) }}

),

closing as (

    select
        snapshot_month,
        customer_id,
        status,
        is_active,
        registered_within_12m,
        is_new,
        least({{ months_between('last_activity_date', 'snapshot_month') }}, {{ longest }}) as months_inactive
    from {{ ref('fct_customer_months') }}
    where {{ in_months_of_run() }}

),

moved as (

    select
        coalesce(closing.snapshot_month, opening.snapshot_month) as snapshot_month,
        {% for column in state -%}
            opening.{{ column }} as from_{{ column }},
            closing.{{ column }} as to_{{ column }},
        {% endfor -%}
        coalesce(closing.is_new, false) as is_new
    from closing
    full join opening on closing.customer_id = opening.customer_id and closing.snapshot_month = opening.snapshot_month

),

counted as (

    select
        snapshot_month,
        {% for column in state -%}
            from_{{ column }},
            to_{{ column }},
        {% endfor -%}
        is_new,
        count(*) as n_profiles
    from moved
    group by
        {% for column in state -%}
            from_{{ column }}, to_{{ column }},
        {%- endfor %} snapshot_month, is_new

),

final as (

    select
        snapshot_month,
        {{ date_plus_days(add_months('snapshot_month', 1), -1) }} as as_of_date,
        {% for side in ['from', 'to'] -%}
            case
                when {{ side }}_status is not null
                    then
                        {{ side }}_status
                        || case when {{ side }}_is_active then ' active ' else ' inactive ' end
                        || cast({{ side }}_months_inactive as {{ dbt.type_string() }})
                        || case when {{ side }}_registered_within_12m then ' recent' else '' end
            end as {{ side }}_state,
            {{ side }}_status,
            {{ side }}_is_active,
        {% endfor -%}
        cast(to_months_inactive as {{ dbt.type_bigint() }}) as to_months_inactive,
        is_new,
        n_profiles,
        {{ definition_version() }} as definition_version
    from counted

)

select * from final
