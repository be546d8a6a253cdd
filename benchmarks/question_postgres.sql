-- The question as a BI tool's custom query asks it of raw tables in PostgreSQL: profiles in the base at the as-of date, active ones,
-- opted-in ones and filled fields, by source and status. The names in braces are filled in by benchmarks/postgres.py.
with ordered as (
    select customer_id, min(ordered_at) as first_order_at, max(ordered_at) as last_at
    from orders
    where
        ordered_at < timestamp '{end}'
        and amount > 0
        and coalesce(lower(btrim(status)) not in ('cancelled', 'canceled'), true)
    group by customer_id
),

acted as (
    select customer_id, max(occurred_at) as last_at
    from events
    where occurred_at < timestamp '{end}' and event_type in ({activities})
    group by customer_id
),

opted as (
    select customer_id, bool_or(is_opted_in) as is_opted_in
    from (
        select
            customer_id,
            channel,
            coalesce(
                max(occurred_at) filter (where status = 'opt_in') > max(occurred_at) filter (where status <> 'opt_in'),
                max(occurred_at) filter (where status = 'opt_in') is not null
            ) as is_opted_in
        from consents
        where occurred_at < timestamp '{end}'
        group by customer_id, channel
    ) as by_channel
    group by customer_id
),

first_traces as (
    select customers.customer_id, first_at
    from customers
    cross join lateral (
        select least(
            (select min(ordered_at) from orders where orders.customer_id = customers.customer_id),
            (select min(occurred_at) from events where events.customer_id = customers.customer_id),
            (select min(occurred_at) from consents where consents.customer_id = customers.customer_id)
        ) as first_at
    ) as traces
    where created_at is null
),

profiles as (
    select
        customers.customer_id,
        coalesce(nullif(lower(btrim(source)), ''), 'unknown') as source,
        case when first_order_at is not null then 'customer' else 'prospect' end as status,
        coalesce(
            (coalesce(created_at, first_at) at time zone 'UTC' at time zone '{zone}')::date, date '{first_month}'
        ) as created_date,
        (greatest(ordered.last_at, acted.last_at) at time zone 'UTC' at time zone '{zone}')::date as last_act_date,
        coalesce(opted.is_opted_in, false) as is_opted_in,
        {flags}
    from customers
    left join ordered on customers.customer_id = ordered.customer_id
    left join acted on customers.customer_id = acted.customer_id
    left join opted on customers.customer_id = opted.customer_id
    left join first_traces on customers.customer_id = first_traces.customer_id
    where deleted_at is null or (deleted_at at time zone 'UTC' at time zone '{zone}')::date >= date '{next}'
)

select
    source,
    status,
    count(*) as n_profiles,
    count(*) filter (where {as_of} - greatest(last_act_date, created_date) <= 365) as n_active,
    count(*) filter (where is_opted_in) as n_optin_any,
    {filled}
from profiles
where created_date < date '{next}'
group by source, status
order by source, status
