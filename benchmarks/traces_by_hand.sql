-- What customers did between two instants: orders, events and consents.
select
    customer_id, ordered_at as occurred_at,
    if(amount > 0 and coalesce(lower(trim(status)) not in ('cancelled', 'canceled'), true), ordered_at, null) as order_at,
    order_at as act_at, 'order' as act_type, 1 as act_rank,
    null::varchar as channel, null::varchar as status, null::timestamp as consent_at
from read_parquet('{orders}')
where ordered_at >= timestamp '{start}' and ordered_at < timestamp '{end}'
union all
select
    customer_id, occurred_at, null, if(list_contains({activities}, event_type), occurred_at, null),
    event_type, list_position({activities}, event_type) + 1, null, null, null
from read_parquet('{events}')
where occurred_at >= timestamp '{start}' and occurred_at < timestamp '{end}'
union all
select customer_id, occurred_at, null, null, null, null, channel, status, occurred_at
from read_parquet('{consents}')
where occurred_at >= timestamp '{start}' and occurred_at < timestamp '{end}'
