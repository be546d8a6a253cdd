-- Grain: customer id × closed month. Ids outside the base are kept too: what they left waits for a profile to come (back).
-- A month is computed from what became known in it and from the month before, however long the history.
{{
    config(
        materialized='incremental',
        incremental_strategy='microbatch',
        event_time='snapshot_month',
        batch_size='month',
        begin='1900-01-01',
        concurrent_batches=false,
        on_schema_change='fail',
    )
}}

{%- set month = closing_month() -%}
{%- set month_start = "date '" ~ month ~ "'" -%}
{%- set next_month_start = "date '" ~ month_after(month) ~ "'" -%}
{%- set as_of_date = "date '" ~ add_days_to(month_after(month), -1) ~ "'" -%}
{#- When profiles came and left: as it was known at the close, and in a restated month as it is known now. -#}
{%- set dates_of = '_now' if restated_until(month) else '' -%}
{%- set activity_types = ['order'] + var('activity_event_types') -%}
{%- set with_merges = has_merges() -%}
{%- set carried = {
    'customer_id': dbt.type_string(), 'source': dbt.type_string(), 'status': dbt.type_string(),
    'is_in_base': dbt.type_boolean(), 'is_active': dbt.type_boolean(),
    'created_date': 'date', 'first_trace_date': 'date', 'first_order_date': 'date', 'last_activity_date': 'date',
    'last_act_at': dbt.type_timestamp(), 'last_act_type': dbt.type_string(),
} -%}
{%- for channel in var('channels') -%}
    {%- do carried.update({channel ~ '_opt_in_at': dbt.type_timestamp(), channel ~ '_opt_out_at': dbt.type_timestamp()}) -%}
{%- endfor %}

with profiles as (

    {{ known_in(ref('int_profile_states'), month) }}

),

first_traces as (

    select * from {{ ref('int_first_traces') }}

),

opening as (

    {{ month_before(month, carried) }}

),

traces as (

    {{ rows_known_in(ref('int_traces'), 'occurred_at', month) }}

),

{% if with_merges %}
    -- What merged profiles left counts for those that they are part of, as do their rows in the month before.
    merged as (

        {{ merges_in(month) }}

    ),

    inherited as (

        select
            cast(null as {{ dbt.type_string() }}) as channel,
            cast(null as {{ dbt.type_string() }}) as consent_status
        {% for channel in var('channels') %}
            {% for status in ['opt_in', 'opt_out'] %}
                union all
                select '{{ channel }}', '{{ status }}'
            {% endfor %}
        {% endfor %}

    ),

    attributed as (

        select
            coalesce(merged.survivor_customer_id, traces.customer_id) as customer_id,
            traces.activity_type,
            traces.channel,
            traces.consent_status,
            traces.occurred_at,
            cast(null as date) as first_trace_date,
            cast(null as date) as first_order_date,
            cast(null as date) as last_activity_date
        from traces
        left join merged on traces.customer_id = merged.customer_id
        where
            case traces.channel
                {% for channel in var('channels') %}
                    when '{{ channel }}' then {{ is_not_about_another(channel) }}
                {% endfor %}
                else true
            end

        union all

        select
            merged.survivor_customer_id as customer_id,
            case when inherited.channel is null then opening.last_act_type end as activity_type,
            inherited.channel,
            inherited.consent_status,
            case
                when inherited.channel is null then opening.last_act_at
                {% for channel in var('channels') %}
                    when inherited.channel = '{{ channel }}' and inherited.consent_status = 'opt_in'
                        then opening.{{ channel }}_opt_in_at
                    when inherited.channel = '{{ channel }}' then opening.{{ channel }}_opt_out_at
                {% endfor %}
            end as occurred_at,
            case when inherited.channel is null then opening.first_trace_date end as first_trace_date,
            case when inherited.channel is null then opening.first_order_date end as first_order_date,
            case when inherited.channel is null then opening.last_activity_date end as last_activity_date
        from opening
        inner join merged on opening.customer_id = merged.customer_id
        cross join inherited
        where
            case inherited.channel
                {% for channel in var('channels') %}
                    when '{{ channel }}' then {{ is_not_about_another(channel) }}
                {% endfor %}
                else true
            end

    ),
{% else %}
    attributed as (

        select * from traces

    ),
{% endif %}
happened as (

    select
        customer_id,
        {% if with_merges -%}
            {{ least_known(local_date('min(occurred_at)'), 'min(first_trace_date)') }} as first_trace_date,
            {{ least_known(
                local_date("min(case when activity_type = 'order' then occurred_at end)"), 'min(first_order_date)'
            ) }} as first_order_date,
            max(last_activity_date) as inherited_date,
        {% else -%}
            {{ local_date('min(occurred_at)') }} as first_trace_date,
            {{ local_date("min(case when activity_type = 'order' then occurred_at end)") }} as first_order_date,
        {% endif -%}
        {% for channel in var('channels') -%}
            max(case when channel = '{{ channel }}' and consent_status = 'opt_in' then occurred_at end)
                as {{ channel }}_opt_in_at,
            max(case when channel = '{{ channel }}' and consent_status <> 'opt_in' then occurred_at end)
                as {{ channel }}_opt_out_at,
        {% endfor -%}
        {% for type in activity_types -%}
            max(case when activity_type = {{ text_literal(type) }} then occurred_at end) as act_{{ loop.index }}_at,
        {% endfor -%}
        max(case when activity_type is not null then occurred_at end) as last_act_at
    from attributed
    group by customer_id

),

joined as (

    select
        coalesce(opening.customer_id, happened.customer_id, profiles.customer_id) as customer_id,
        coalesce(profiles.source, opening.source) as source,
        -- Without a creation date, the first trace stands for it, else the first month. In the base it stays as it was.
        case
            when opening.is_in_base then opening.created_date
            when profiles.created_date{{ dates_of }} is not null then profiles.created_date{{ dates_of }}
            when profiles.customer_id is not null
                then coalesce(
                    {{ least_known('opening.first_trace_date', 'first_traces.first_trace_date') }}, date '{{ first_month() }}'
                )
        end as created_date,
        {% for name in profile_dates() if name != 'created_date' -%}
            {{ 'profiles.' ~ name ~ dates_of ~ ' as ' ~ name if dates_of else 'profiles.' ~ name }},
        {% endfor -%}
        profiles.customer_id is not null as has_profile,
        {% for field in profile_field_names() -%}
            {%- if field == 'birth_date' -%}
                {{ is_plausible_birth_date('profiles.birth_date', as_of_date) }} as has_birth_date,
            {% else -%}
                coalesce(profiles.has_{{ field }}, false) as has_{{ field }},
            {% endif -%}
        {%- endfor -%}
        profiles.gender,
        {{ age_in_years('profiles.birth_date', as_of_date) }} as age_years,
        profiles.is_birth_date_given,
        {{ least_known('opening.first_trace_date', 'happened.first_trace_date') }} as first_trace_date,
        {{ least_known('opening.first_order_date', 'happened.first_order_date') }} as first_order_date,
        {% if with_merges -%}
            {{ greatest_known(
                greatest_known('opening.last_activity_date', local_date('happened.last_act_at')), 'happened.inherited_date'
            ) }} as last_act_date,
            merged.customer_id is not null as is_merged,
            coalesce(merged.merged_month < {{ month_start }}, false) as was_merged,
        {% else -%}
            {{ greatest_known('opening.last_activity_date', local_date('happened.last_act_at')) }} as last_act_date,
            false as is_merged,
            false as was_merged,
        {% endif -%}
        {{ greatest_known('opening.last_act_at', 'happened.last_act_at') }} as last_act_at,
        case
            when opening.last_act_at > happened.last_act_at or happened.last_act_at is null then opening.last_act_type
            {% for type in activity_types -%}
                when happened.act_{{ loop.index }}_at = happened.last_act_at then {{ text_literal(type) }}
            {% endfor %}
        end as last_act_type,
        {% for channel in var('channels') -%}
            {% for column in [channel ~ '_opt_in_at', channel ~ '_opt_out_at'] -%}
                {{ greatest_known('opening.' ~ column, 'happened.' ~ column) }} as {{ column }},
            {% endfor -%}
        {% endfor -%}
        case when opening.is_in_base then opening.source end as opening_source,
        case when opening.is_in_base then opening.status end as opening_status,
        case when opening.is_in_base then opening.is_active end as opening_is_active,
        coalesce(opening.is_in_base, false) as was_in_base,
        {{ 'merged.customer_id is null and ' if with_merges }}opening.customer_id is not null
        or happened.customer_id is not null as has_left_traces
    from opening
    full join happened on opening.customer_id = happened.customer_id
    full join profiles on coalesce(opening.customer_id, happened.customer_id) = profiles.customer_id
    left join first_traces on profiles.customer_id = first_traces.customer_id
    {% if with_merges -%}
        left join merged on coalesce(opening.customer_id, happened.customer_id, profiles.customer_id) = merged.customer_id
    {%- endif %}

),

arrived as (

    select
        *,
        {{ known_date('created_date', 'late_date', 'first_loaded_at') }} as arrived_date,
        {{ greatest_known('last_act_date', 'created_date') }} as last_activity_date
    from joined

),

closing as (

    select
        *,
        coalesce(
            has_profile
            and not is_merged
            and (was_in_base or arrived_date < {{ next_month_start }})
            and (left_date is null or left_date >= {{ next_month_start }}),
            false
        ) as is_in_base,
        coalesce(
            not was_in_base
            and arrived_date >= {{ month_start }}
            and arrived_date < {{ next_month_start }}
            and (left_date < {{ next_month_start }} or is_merged)
            -- Nothing is kept of a profile that was merged before: without a creation date, it would seem to come.
            and not was_merged,
            false
        ) as is_transient
    from arrived

),

final as (

    select
        {{ month_start }} as snapshot_month,
        {{ as_of_date }} as as_of_date,
        customer_id,
        source,
        case when first_order_date is not null then 'customer' else 'prospect' end as status,
        case
            when was_in_base and is_merged and coalesce(left_date >= {{ next_month_start }}, true) then 'merged'
            when was_in_base and not is_in_base then 'deleted'
            when is_transient then 'transient'
            when not is_in_base then null
            when not was_in_base and created_date >= {{ month_start }} then 'new'
            when not was_in_base then 'restored'
            when opening_status = 'prospect' and first_order_date is not null then 'converted'
            when opening_source <> source then 'reassigned'
            else 'stable'
        end as movement,
        case
            {% if with_merges -%}
                -- The sign-up of a profile that was merged into this one.
                when last_activity_date > {{ local_date('last_act_at') }} then 'sign_up'
            {% endif -%}
            when last_act_at >= created_at or (created_at is null and last_act_at is not null) then last_act_type
            else 'sign_up'
        end as last_activity_type,
        last_act_type,
        opening_source,
        opening_status,
        is_in_base,
        is_in_base and {{ days_between('last_activity_date', as_of_date) }} <= {{ var('active_within_days') }} as is_active,
        opening_is_active,
        {% for field in profile_field_names() -%}
            has_{{ field }},
        {% endfor -%}
        gender,
        age_years,
        coalesce(is_birth_date_given and age_years is null, false) as is_birth_date_implausible,
        created_date,
        first_trace_date,
        first_order_date,
        last_activity_date,
        last_act_at,
        {% for channel in var('channels') -%}
            {{ channel }}_opt_in_at,
            {{ channel }}_opt_out_at,
        {% endfor -%}
        {{ definition_version() }} as definition_version
    from closing
    where is_in_base or was_in_base or has_left_traces or is_transient

)

select * from final
