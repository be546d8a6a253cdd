-- Grain: month × source × status × registered within 12 months × channel (`any` counts a person once).
{%- set channels = var('channels').keys() | list + ['any'] %}
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

channels as (

    {% for channel in channels -%}
        select '{{ channel }}' as channel
        {{ 'union all' if not loop.last }}
    {% endfor %}

),

-- A cross join and not a union of one query per channel: an engine that does not keep `counted` would count once per channel.
final as (

    select
        counted.snapshot_month,
        counted.as_of_date,
        counted.source,
        counted.status,
        counted.registered_within_12m,
        channels.channel,
        counted.n_profiles,
        {% for measure in ['n_filled', 'n_opted_in'] -%}
            case channels.channel
                {% for channel in channels -%}
                    when '{{ channel }}' then counted.{{ measure }}_{{ channel }}
                {% endfor -%}
            end as {{ measure }},
        {% endfor -%}
        counted.definition_version
    from counted
    cross join channels

)

select * from final
