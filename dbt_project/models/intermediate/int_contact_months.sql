-- Grain: customer id × closed month, as int_customer_months. How far a person can be reached on each channel, and may be.
-- Carried forward from the month before: failed deliveries and opt-ins are read once, in the month in which they became known.
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
{%- set next_month_start = local_midnight(month_after(month)) -%}
{%- set time = dbt.type_timestamp() -%}
{%- set with_merges = has_merges() -%}
{%- set carried = {
    'customer_id': dbt.type_string(), 'is_in_base': dbt.type_boolean(), 'email_soft_bounces': dbt.type_bigint(),
    'email_soft_bounces_since': time, 'email_arrived_at': time,
} -%}
{%- for coordinate in coordinates() -%}
    {%- do carried.update({
        coordinate ~ '_changed_at': time, coordinate ~ '_failed_at': time, coordinate ~ '_failure': dbt.type_string(),
    }) -%}
{%- endfor -%}
{%- for channel in var('channels') -%}
    {%- do carried.update({
        channel ~ '_is_opted_in': dbt.type_boolean(), channel ~ '_opt_in_at': time,
        channel ~ '_legal_basis': dbt.type_string(), channel ~ '_has_proof': dbt.type_boolean(),
        channel ~ '_is_for_other': dbt.type_boolean(),
    }) -%}
{%- endfor %}

with customer_months as (

    select
        *,
        {% for channel in var('channels') -%}
            coalesce({{ channel }}_opt_in_at > {{ channel }}_opt_out_at, {{ channel }}_opt_in_at is not null)
                as {{ channel }}_is_opted_in,
        {% endfor -%}
        created_date >= {{ add_months('snapshot_month', -11) }} as registered_within_12m
    from {{ ref('int_customer_months').render() }}
    where snapshot_month = date '{{ month }}'

),

coordinates as (

    {{ known_in(ref('int_coordinate_states'), month) }}

),

-- Addresses and numbers that several profiles of the base have.
shared_emails as (

    select coordinates.email_address
    from coordinates
    inner join customer_months on coordinates.customer_id = customer_months.customer_id
    where customer_months.is_in_base and coordinates.email_form is not null
    group by coordinates.email_address
    having count(*) > 1

),

shared_phones as (

    select coordinates.phone_number
    from coordinates
    inner join customer_months on coordinates.customer_id = customer_months.customer_id
    where customer_months.is_in_base and coordinates.phone_number is not null
    group by coordinates.phone_number
    having count(*) > 1

),

opening as (

    {{ month_before(month, carried) }}

),

events as (

    {{ rows_known_in(ref('stg_events'), 'occurred_at', month) }}

),

consents as (

    {{ rows_known_in(ref('stg_consents'), 'occurred_at', month) }}

),

{% if with_merges %}
    merged as (

        {{ merges_in(month) }}

    ),

{% endif %}
-- Deliveries that failed, and what shows that a message arrived. Campaigns without a channel are e-mail.
{{ 'own_deliveries' if with_merges else 'deliveries' }} as (

    select
        customer_id,
        event_type,
        occurred_at,
        case coalesce(channel, case when event_type <> 'undeliverable' then 'email' end)
            {% for channel, coordinate in var('channels').items() -%}
                when '{{ channel }}' then '{{ coordinate }}'
            {% endfor -%}
        end as coordinate
    from events
    where event_type in ({{ quoted_list(failure_types() + ['soft_bounce', 'campaign_open', 'campaign_click']) }})

),

{% if with_merges %}
    kinds as (

        {% for coordinate in coordinates() -%}
            select '{{ coordinate }}' as coordinate
            {{ 'union all' if not loop.last }}
        {% endfor %}

    ),

    -- A failure tells of a coordinate: that of a merged profile only of a survivor who has the same.
    deliveries as (

        select
            coalesce(merged.survivor_customer_id, own_deliveries.customer_id) as customer_id,
            own_deliveries.event_type,
            own_deliveries.occurred_at,
            own_deliveries.coordinate
        from own_deliveries
        left join merged on own_deliveries.customer_id = merged.customer_id
        where
            merged.customer_id is null
            or case own_deliveries.coordinate
                {% for coordinate in coordinates() %}
                    when '{{ coordinate }}' then merged.is_same_{{ coordinate }}
                {% endfor %}
                else false
            end

        union all

        select
            merged.survivor_customer_id as customer_id,
            case kinds.coordinate
                {% for coordinate in coordinates() %}
                    when '{{ coordinate }}' then opening.{{ coordinate }}_failure
                {% endfor %}
            end as event_type,
            case kinds.coordinate
                {% for coordinate in coordinates() %}
                    when '{{ coordinate }}' then opening.{{ coordinate }}_failed_at
                {% endfor %}
            end as occurred_at,
            kinds.coordinate
        from opening
        inner join merged on opening.customer_id = merged.customer_id
        cross join kinds
        where
            case kinds.coordinate
                {% for coordinate in coordinates() %}
                    when '{{ coordinate }}'
                        then opening.{{ coordinate }}_failed_at is not null and merged.is_same_{{ coordinate }}
                {% endfor %}
            end

    ),

{% endif %}
delivered as (

    select
        customer_id,
        {% for coordinate in coordinates() -%}
            {% for type in failure_types() -%}
                max(case when coordinate = '{{ coordinate }}' and event_type = '{{ type }}' then occurred_at end)
                    as {{ coordinate }}_{{ type }}_at,
            {% endfor -%}
        {% endfor -%}
        max(case when coordinate = 'email' and event_type in ('campaign_open', 'campaign_click') then occurred_at end)
            as latest_arrived_at
    from deliveries
    group by customer_id

),

-- Those that go on a row: nothing arrived after them, as far as is known, and the address is the one they went to.
soft_bounces as (

    select
        deliveries.customer_id,
        count(*) as n_in_a_row,
        min(deliveries.occurred_at) as since
    from deliveries
    inner join delivered on deliveries.customer_id = delivered.customer_id
    left join opening on deliveries.customer_id = opening.customer_id
    left join coordinates on deliveries.customer_id = coordinates.customer_id
    where
        deliveries.coordinate = 'email'
        and deliveries.event_type = 'soft_bounce'
        and (delivered.latest_arrived_at is null or deliveries.occurred_at > delivered.latest_arrived_at)
        and (opening.email_arrived_at is null or deliveries.occurred_at > opening.email_arrived_at)
        and (
            coordinates.email_changed_at is null
            or coordinates.email_changed_at >= {{ next_month_start }}
            or deliveries.occurred_at >= coordinates.email_changed_at
        )
    group by deliveries.customer_id

),

{% if with_merges %}
    channels as (

        {% for channel in var('channels') -%}
            select '{{ channel }}' as channel
            {{ 'union all' if not loop.last }}
        {% endfor %}

    ),

    -- An opt-in of a merged profile is one for another coordinate, unless the survivor is known to have the same.
    known_opt_ins as (

        select
            coalesce(merged.survivor_customer_id, consents.customer_id) as customer_id,
            consents.consent_id,
            consents.channel,
            consents.occurred_at,
            consents.coordinate,
            consents.legal_basis,
            consents.has_proof,
            case
                when
                    merged.customer_id is not null
                    and consents.coordinate is null
                    and {{ is_for_unknown_coordinate('consents.channel') }}
                    then true
            end as is_for_other
        from consents
        left join merged on consents.customer_id = merged.customer_id
        where
            consents.consent_status = 'opt_in'
            and case consents.channel
                {% for channel in var('channels') %}
                    when '{{ channel }}' then {{ is_not_about_another(channel) }}
                {% endfor %}
                else true
            end

        union all

        select
            merged.survivor_customer_id as customer_id,
            null as consent_id,
            channels.channel,
            case channels.channel
                {% for channel in var('channels') %}
                    when '{{ channel }}' then opening.{{ channel }}_opt_in_at
                {% endfor %}
            end as occurred_at,
            null as coordinate,
            case channels.channel
                {% for channel in var('channels') %}
                    when '{{ channel }}' then opening.{{ channel }}_legal_basis
                {% endfor %}
            end as legal_basis,
            case channels.channel
                {% for channel in var('channels') %}
                    when '{{ channel }}' then opening.{{ channel }}_has_proof
                {% endfor %}
            end as has_proof,
            case
                when {{ is_for_unknown_coordinate('channels.channel') }} then true
                {% for channel in var('channels') %}
                    when channels.channel = '{{ channel }}' then opening.{{ channel }}_is_for_other
                {% endfor %}
            end as is_for_other
        from opening
        inner join merged on opening.customer_id = merged.customer_id
        cross join channels
        where
            case channels.channel
                {% for channel in var('channels') %}
                    when '{{ channel }}'
                        then opening.{{ channel }}_opt_in_at is not null and {{ is_not_about_another(channel) }}
                {% endfor %}
            end

    ),
{% else %}
    known_opt_ins as (

        select
            *,
            cast(null as {{ dbt.type_boolean() }}) as is_for_other
        from consents
        where consent_status = 'opt_in'

    ),
{% endif %}

opt_ins as (

    select
        *,
        row_number() over (
            partition by customer_id, channel order by occurred_at desc, consent_id desc
        ) as nth_latest
    from known_opt_ins

),

tidied as (

    select
        *,
        {{ tidied_coordinate() }} as tidied_coordinate
    from opt_ins
    where nth_latest = 1

),

named as (

    select
        *,
        {{ named_coordinate() }} as named_coordinate
    from tidied

),

latest_opt_ins as (

    select
        customer_id,
        {% for channel in var('channels') -%}
            max(case when channel = '{{ channel }}' then occurred_at end) as {{ channel }}_opt_in_at,
            max(case when channel = '{{ channel }}' then legal_basis end) as {{ channel }}_legal_basis,
            max(case when channel = '{{ channel }}' and has_proof then 1 else 0 end) = 1 as {{ channel }}_has_proof,
            max(case when channel = '{{ channel }}' then named_coordinate end) as {{ channel }}_coordinate,
            max(
                case when channel = '{{ channel }}' then case when is_for_other then 1 when not is_for_other then 0 end end
            ) = 1 as {{ channel }}_is_for_other,
        {% endfor -%}
        count(*) as n_channels
    from named
    group by customer_id

),

joined as (

    select
        customer_months.*,
        {% for coordinate in coordinates() -%}
            {{ changed_before(coordinate, next_month_start) }} as {{ coordinate }}_changed_at,
            opening.{{ coordinate }}_changed_at as opening_{{ coordinate }}_changed_at,
            opening.{{ coordinate }}_failed_at as opening_{{ coordinate }}_failed_at,
            opening.{{ coordinate }}_failure as opening_{{ coordinate }}_failure,
            {% for type in failure_types() -%}
                delivered.{{ coordinate }}_{{ type }}_at,
            {% endfor -%}
        {% endfor -%}
        {% for channel, coordinate in var('channels').items() -%}
            {{ channel_form(channel) }} as {{ channel }}_judged_form,
            {{ channel_form_reason(channel) }} as {{ channel }}_form_reason,
            case when opening.is_in_base then opening.{{ channel }}_is_opted_in end as {{ channel }}_was_opted_in,
            opening.{{ channel }}_opt_in_at as opening_{{ channel }}_opt_in_at,
            opening.{{ channel }}_legal_basis as opening_{{ channel }}_legal_basis,
            opening.{{ channel }}_has_proof as opening_{{ channel }}_has_proof,
            opening.{{ channel }}_is_for_other as opening_{{ channel }}_is_for_other,
            latest_opt_ins.{{ channel }}_opt_in_at as latest_{{ channel }}_opt_in_at,
            latest_opt_ins.{{ channel }}_legal_basis as latest_{{ channel }}_legal_basis,
            latest_opt_ins.{{ channel }}_has_proof as latest_{{ channel }}_has_proof,
            coalesce(
                latest_opt_ins.{{ channel }}_is_for_other,
                {{ names_another(coordinate, 'latest_opt_ins.' ~ channel ~ '_coordinate') }}
            ) as latest_{{ channel }}_is_for_other,
        {% endfor -%}
        {{ n_key_fields_filled('customer_months') }} as n_key_fields_filled,
        coordinates.n_values,
        coordinates.n_placeholders,
        shared_emails.email_address is not null or shared_phones.phone_number is not null as is_duplicate,
        opening.email_soft_bounces as opening_soft_bounces,
        opening.email_soft_bounces_since as opening_soft_bounces_since,
        opening.email_arrived_at as opening_arrived_at,
        delivered.latest_arrived_at,
        soft_bounces.n_in_a_row,
        soft_bounces.since
    from customer_months
    left join opening on customer_months.customer_id = opening.customer_id
    left join coordinates on customer_months.customer_id = coordinates.customer_id
    left join shared_emails on coordinates.email_address = shared_emails.email_address
    left join shared_phones on coordinates.phone_number = shared_phones.phone_number
    left join delivered on customer_months.customer_id = delivered.customer_id
    left join soft_bounces on customer_months.customer_id = soft_bounces.customer_id
    left join latest_opt_ins on customer_months.customer_id = latest_opt_ins.customer_id

),

judged as (

    select
        *,
        {% for coordinate in coordinates() -%}
            {{ latest_failure(coordinate) }} as {{ coordinate }}_failed_at,
        {% endfor -%}
        {% for channel in var('channels') -%}
            {{ has_new_opt_in(channel) }} as {{ channel }}_has_new_opt_in,
        {% endfor -%}
        {{ greatest_known('latest_arrived_at', 'opening_arrived_at') }} as email_arrived_at,
        coalesce(n_in_a_row, 0)
        + case when {{ row_goes_on() }} then coalesce(opening_soft_bounces, 0) else 0 end as email_soft_bounces,
        case when {{ row_goes_on() }} then {{ least_known('since', 'opening_soft_bounces_since') }} else since end
            as email_soft_bounces_since
    from joined

),

in_force as (

    select
        {% for channel, coordinate in var('channels').items() -%}
            case
                when {{ channel }}_has_new_opt_in then latest_{{ channel }}_legal_basis
                else opening_{{ channel }}_legal_basis
            end as {{ channel }}_legal_basis,
            case when {{ channel }}_has_new_opt_in then latest_{{ channel }}_has_proof else opening_{{ channel }}_has_proof end
                as {{ channel }}_has_proof,
            -- An opt-in that named the coordinate of then stays behind when the coordinate changes.
            case
                when {{ channel }}_has_new_opt_in then latest_{{ channel }}_is_for_other
                when opening_{{ channel }}_is_for_other is not null
                    then opening_{{ channel }}_is_for_other or {{ has_changed(coordinate) }}
            end as {{ channel }}_is_for_other,
            {{ has_failed(coordinate) }} or {{ has_soft_bounces(coordinate) }} as {{ channel }}_bounces,
        {% endfor -%}
        {% for coordinate in coordinates() -%}
            case
                {% for type in failure_types() | reverse -%}
                    when {{ coordinate }}_{{ type }}_at = {{ coordinate }}_failed_at then '{{ type }}'
                {% endfor -%}
                else opening_{{ coordinate }}_failure
            end as {{ coordinate }}_failure,
        {% endfor -%}
        *
    from judged

),

final as (

    select
        snapshot_month,
        as_of_date,
        customer_id,
        source,
        status,
        movement,
        opening_source,
        is_in_base,
        registered_within_12m,
        {% for channel, coordinate in var('channels').items() -%}
            case
                when not is_in_base then null
                when {{ channel }}_judged_form is null then 'no_coordinate'
                when {{ channel }}_judged_form = 'invalid' then 'invalid'
                when {{ channel }}_bounces then 'bounced'
                when {{ channel }}_judged_form = 'untested' then 'untested'
                when not {{ channel }}_is_opted_in then 'no_optin'
                when {{ channel }}_is_for_other then 'other_coordinate'
                else 'contactable'
            end as {{ channel }}_stage,
            case
                when {{ channel }}_judged_form = 'invalid' then {{ channel }}_form_reason
                when {{ channel }}_judged_form is not null and {{ has_failed(coordinate) }} then {{ coordinate }}_failure
                when {{ channel }}_judged_form is not null and {{ channel }}_bounces then 'soft_bounces'
                else {{ channel }}_form_reason
            end as {{ channel }}_reason,
            {{ channel }}_is_opted_in,
            {{ channel }}_was_opted_in,
            {{ channel }}_opt_in_at,
            {{ channel }}_opt_out_at,
            {{ channel }}_legal_basis,
            {{ channel }}_has_proof,
            {{ channel }}_is_for_other,
        {% endfor -%}
        {% for coordinate in coordinates() -%}
            {{ coordinate }}_changed_at,
            {{ coordinate }}_failed_at,
            {{ coordinate }}_failure,
        {% endfor -%}
        email_soft_bounces,
        email_soft_bounces_since,
        email_arrived_at,
        n_key_fields_filled,
        n_values,
        n_placeholders,
        is_duplicate,
        definition_version
    from in_force

)

select * from final
