-- Grain: month × source × status × registered within 12 months × channel (`any` counts a person once).
with customer_months as (

    select * from {{ ref('fct_customer_months') }}
    where {{ in_months_of_run() }}

),

counted as (

    select
        snapshot_month,
        as_of_date,
        source,
        status,
        registered_within_12m,
        definition_version,
        {% for channel, field in var('channels').items() -%}
            count(case when has_{{ field }} then 1 end) as n_filled_{{ channel }},
            count(case when {{ channel }}_is_opted_in then 1 end) as n_opted_in_{{ channel }},
        {% endfor -%}
        count(case when {{ is_filled_on_any() }} then 1 end) as n_filled_any,
        count(case when {{ is_opted_in_on_any() }} then 1 end) as n_opted_in_any,
        count(*) as n_profiles
    from customer_months
    group by snapshot_month, as_of_date, source, status, registered_within_12m, definition_version

),

final as (

    {% for channel in var('channels').keys() | list + ['any'] -%}
        select
            snapshot_month,
            as_of_date,
            source,
            status,
            registered_within_12m,
            '{{ channel }}' as channel,
            n_profiles,
            n_filled_{{ channel }} as n_filled,
            n_opted_in_{{ channel }} as n_opted_in,
            definition_version
        from counted
        {{ 'union all' if not loop.last }}
    {% endfor %}

)

select * from final
