-- Grain: order, event or consent, whoever left it. activity_type is null where the person did nothing that counts.
with orders as (

    select * from {{ ref('stg_orders') }}

),

events as (

    select * from {{ ref('stg_events') }}

),

consents as (

    select * from {{ ref('stg_consents') }}

),

final as (

    select
        customer_id,
        case when is_counted then 'order' end as activity_type,
        cast(null as {{ dbt.type_string() }}) as channel,
        cast(null as {{ dbt.type_string() }}) as consent_status,
        ordered_at as occurred_at,
        loaded_at
    from orders

    union all

    select
        customer_id,
        case when event_type in ({{ quoted_list(var('activity_event_types')) }}) then event_type end as activity_type,
        null as channel,
        null as consent_status,
        occurred_at,
        loaded_at
    from events

    union all

    select
        customer_id,
        null as activity_type,
        channel,
        consent_status,
        occurred_at,
        loaded_at
    from consents

)

select * from final
