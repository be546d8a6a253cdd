-- All months at once, by hand: one row per customer id and month, its state from running windows. Same rows and columns as
-- closing month after month by hand. `part` is one of some parts of the customer ids, so that the windows fit in memory. The names
-- in braces are filled in by benchmarks/by_hand.py.
with profiles as (
    select * from prepared where {part}
),

happened as (
    select
        customer_id,
        greatest(date_trunc('month', cast(timezone('{zone}', timezone('UTC', occurred_at)) as date)), date '{first_month}')
            as snapshot_month,
        min(occurred_at) as first_at,
        min(order_at) as first_order_at,
        max(act_at) as last_act_at,
        arg_max(act_type, (act_at, -act_rank)) filter (act_at is not null) as last_act_type,
        {aggregated}
    from ({traces})
    where {part}
    group by all
),

traced as (
    select customer_id, min(snapshot_month) as first_traced_month from happened group by all
),

lives as (
    select
        coalesce(p.customer_id, traced.customer_id) as customer_id,
        p.* exclude (customer_id),
        p.customer_id is not null as has_profile,
        case when has_profile then coalesce(created_date, first_trace_date, date '{first_month}') end as born_date,
        case
            when has_profile and (born_date >= date '{first_month}' or left_date is null or left_date >= date '{second_month}')
                then greatest(date_trunc('month', born_date), date '{first_month}')
        end as born_month,
        least(first_traced_month, born_month) as from_month
    from profiles as p
    left join first_traces using (customer_id)
    full join traced on p.customer_id = traced.customer_id
),

grid as (
    select
        lives.*,
        months.*,
        min(first_at) over life as first_trace_at,
        min(first_order_at) over life as first_order_at,
        max(last_act_at) over life as last_act_at,
        last_value(last_act_type ignore nulls) over life as last_act_type,
        {running}
    from lives
    inner join months on months.snapshot_month >= lives.from_month
    left join happened on happened.customer_id = lives.customer_id and happened.snapshot_month = months.snapshot_month
    window life as (partition by lives.customer_id order by months.snapshot_month)
),

levels as (
    select
        *,
        cast(timezone('{zone}', timezone('UTC', first_order_at)) as date) as first_order_date,
        if(first_order_at is not null, 'customer', 'prospect') as status,
        greatest(cast(timezone('{zone}', timezone('UTC', last_act_at)) as date), born_date) as last_activity_date,
        has_profile and born_date < next_month and (left_date is null or left_date >= next_month) as is_in_base,
        is_in_base and date_diff('day', last_activity_date, as_of_date) <= 365 as is_active
    from grid
),

moved as (
    select
        *,
        coalesce(lag(is_in_base) over life, false) as was_in_base,
        if(was_in_base, source, null) as opening_source,
        if(was_in_base, lag(status) over life, null) as opening_status,
        if(was_in_base, lag(is_active) over life, null) as opening_is_active,
        coalesce(
            not was_in_base and born_date >= snapshot_month and born_date < next_month and left_date < next_month, false
        ) as is_transient
    from levels
    window life as (partition by customer_id order by snapshot_month)
)

select
    snapshot_month,
    as_of_date,
    customer_id,
    source,
    status,
    case
        when was_in_base and not is_in_base then 'deleted'
        when is_transient then 'transient'
        when not is_in_base then null
        when not was_in_base and born_date >= snapshot_month then 'new'
        when not was_in_base then 'restored'
        when opening_status = 'prospect' and first_order_date is not null then 'converted'
        else 'stable'
    end as movement,
    if(last_act_at >= created_at or (created_at is null and last_act_at is not null), last_act_type, 'sign_up')
        as last_activity_type,
    last_act_type,
    opening_source,
    opening_status,
    is_in_base,
    is_active,
    opening_is_active,
    {flags},
    born_date as created_date,
    cast(timezone('{zone}', timezone('UTC', first_trace_at)) as date) as first_trace_date,
    first_order_date,
    last_activity_date,
    last_act_at,
    {channel_names}
from moved
