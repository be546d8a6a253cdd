-- The first trace of the profiles without a creation date, from a day on: earlier ones are in the state of the month before.
with traces as (
    select customer_id, ordered_at as occurred_at from read_parquet('{orders}') where ordered_at >= timestamp '{start}'
    union all
    select customer_id, occurred_at from read_parquet('{events}') where occurred_at >= timestamp '{start}'
    union all
    select customer_id, occurred_at from read_parquet('{consents}') where occurred_at >= timestamp '{start}'
)

select customer_id, cast(timezone('{zone}', timezone('UTC', min(occurred_at))) as date) as first_trace_date
from traces
where customer_id in (select customer_id from read_parquet('{customers}') where created_at is null)
group by customer_id
