-- The floor: one month closed by hand in one DuckDB query, for the default vars and a base loaded as initial history.
-- Same rows and columns as core.int_customer_months (but for its constant definition_version). The names in braces are filled in by
-- benchmarks/by_hand.py.
with profiles as (
    {profiles}
),

first_traces as (
    {first_traces}
),

happened as (
    select
        customer_id,
        cast(timezone('{zone}', timezone('UTC', min(occurred_at))) as date) as first_trace_date,
        cast(timezone('{zone}', timezone('UTC', min(order_at))) as date) as first_order_date,
        max(act_at) as last_act_at,
        arg_max(act_type, (act_at, -act_rank)) filter (act_at is not null) as last_act_type,
        {aggregated}
    from ({traces})
    group by customer_id
),

opening as (
    select * from {before}
),

merged as (
    select
        coalesce(o.customer_id, h.customer_id, p.customer_id) as customer_id,
        coalesce(p.source, o.source) as source,
        p.customer_id is not null as has_profile,
        p.created_at,
        case
            when o.is_in_base then o.created_date
            when p.customer_id is not null
                then coalesce(p.created_date, least(o.first_trace_date, t.first_trace_date), date '{first_month}')
        end as born_date,
        p.left_date,
        least(o.first_trace_date, h.first_trace_date) as first_trace_date,
        {flags},
        least(o.first_order_date, h.first_order_date) as first_order_date,
        greatest(
            o.last_activity_date, cast(timezone('{zone}', timezone('UTC', h.last_act_at)) as date), born_date
        ) as last_activity_date,
        greatest(o.last_act_at, h.last_act_at) as last_act_at,
        if(h.last_act_at is null or o.last_act_at > h.last_act_at, o.last_act_type, h.last_act_type) as last_act_type,
        {latest},
        if(o.is_in_base, o.source, null) as opening_source,
        if(o.is_in_base, o.status, null) as opening_status,
        if(o.is_in_base, o.is_active, null) as opening_is_active,
        coalesce(o.is_in_base, false) as was_in_base,
        o.customer_id is not null or h.customer_id is not null as has_left_traces,
        has_profile and (was_in_base or born_date < date '{next}')
        and (p.left_date is null or p.left_date >= date '{next}') as is_in_base,
        coalesce(
            not was_in_base
            and born_date >= date '{month}' and born_date < date '{next}' and p.left_date < date '{next}',
            false
        ) as is_transient
    from opening as o
    full join happened as h on o.customer_id = h.customer_id
    full join profiles as p on coalesce(o.customer_id, h.customer_id) = p.customer_id
    left join first_traces as t on p.customer_id = t.customer_id
)

select
    date '{month}' as snapshot_month,
    date '{as_of}' as as_of_date,
    customer_id,
    source,
    if(first_order_date is not null, 'customer', 'prospect') as status,
    case
        when was_in_base and not is_in_base then 'deleted'
        when is_transient then 'transient'
        when not is_in_base then null
        when not was_in_base and born_date >= date '{month}' then 'new'
        when not was_in_base then 'restored'
        when opening_status = 'prospect' and first_order_date is not null then 'converted'
        when opening_source <> source then 'reassigned'
        else 'stable'
    end as movement,
    if(last_act_at >= created_at or (created_at is null and last_act_at is not null), last_act_type, 'sign_up')
        as last_activity_type,
    last_act_type,
    opening_source,
    opening_status,
    is_in_base,
    is_in_base and date_diff('day', last_activity_date, date '{as_of}') <= 365 as is_active,
    opening_is_active,
    {flag_names},
    born_date as created_date,
    first_trace_date,
    first_order_date,
    last_activity_date,
    last_act_at,
    {channel_names}
from merged
where is_in_base or has_left_traces or is_transient
