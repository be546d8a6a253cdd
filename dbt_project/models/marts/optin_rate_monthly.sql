-- Grain: month × source × status × registered within 12 months × channel (`any` counts a person once).
{%- set channels = var('channels').keys() | list %}
with contact_months as (

    select * from {{ ref('fct_contact_months') }}
    where {{ in_months_of_run() }}

),

-- Profiles that are alike in all that is counted, so that each is read once and not once per channel.
alike as (

    select
        snapshot_month,
        as_of_date,
        source,
        status,
        registered_within_12m,
        definition_version,
        {% for channel in channels -%}
            {{ channel }}_stage,
            {{ channel }}_is_opted_in,
            {{ channel }}_has_proof,
        {% endfor -%}
        count(*) as n_profiles
    from contact_months
    group by
        {% for channel in channels -%}
            {{ channel }}_stage, {{ channel }}_is_opted_in, {{ channel }}_has_proof,
        {% endfor -%}
        snapshot_month, as_of_date, source, status, registered_within_12m, definition_version

),

channels as (

    {% for channel in channels + ['any'] -%}
        select '{{ channel }}' as channel
        {{ 'union all' if not loop.last }}
    {% endfor %}

),

-- A cross join and not a union of one query per channel: an engine that does not keep `alike` would count once per channel.
by_channel as (

    select
        alike.snapshot_month,
        alike.as_of_date,
        alike.source,
        alike.status,
        alike.registered_within_12m,
        alike.definition_version,
        alike.n_profiles,
        channels.channel,
        case channels.channel
            {% for channel in channels -%}
                when '{{ channel }}' then alike.{{ channel }}_stage
            {% endfor -%}
            else {{ furthest_stage('alike') }}
        end as stage,
        case channels.channel
            {% for channel in channels -%}
                when '{{ channel }}' then alike.{{ channel }}_is_opted_in
            {% endfor -%}
            else {{ on_any_channel('is_opted_in', 'alike') }}
        end as is_opted_in,
        case channels.channel
            {% for channel in channels -%}
                when '{{ channel }}' then alike.{{ channel }}_has_proof
            {% endfor -%}
            else {{ on_any_channel('has_proof', 'alike') }}
        end as has_proof
    from alike
    cross join channels

),

final as (

    select
        snapshot_month,
        as_of_date,
        source,
        status,
        registered_within_12m,
        channel,
        cast(sum(n_profiles) as {{ dbt.type_bigint() }}) as n_profiles,
        {{ n_profiles_where("stage <> 'no_coordinate'") }} as n_filled,
        {{ n_profiles_where("stage in ('no_optin', 'other_coordinate', 'contactable')") }} as n_reachable,
        {{ n_profiles_where('is_opted_in') }} as n_opted_in,
        {{ n_profiles_where("stage = 'contactable'") }} as n_contactable,
        {{ n_profiles_where("stage = 'no_coordinate'") }} as n_no_coordinate,
        {{ n_profiles_where("stage = 'invalid'") }} as n_invalid,
        {{ n_profiles_where("stage = 'bounced'") }} as n_bounced,
        {{ n_profiles_where("stage = 'untested'") }} as n_untested,
        {{ n_profiles_where("stage = 'no_optin'") }} as n_no_optin,
        {{ n_profiles_where("stage = 'other_coordinate'") }} as n_optin_other_coordinate,
        {{ n_profiles_where("stage = 'no_coordinate' and is_opted_in") }} as n_optin_no_coordinate,
        {{ n_profiles_where('is_opted_in and has_proof') }} as n_optin_with_proof,
        {{ is_reconstructed() }} as is_reconstructed,
        definition_version
    from by_channel
    group by snapshot_month, as_of_date, source, status, registered_within_12m, channel, definition_version

)

select * from final
