-- The floor of the marts: the closed month is read twice, into two small tables, and all six marts are made of those. For the
-- default vars. The names in braces are filled in by benchmarks/by_hand.py.
create or replace temp table cube as
select
    source,
    status,
    created_date >= date '{month}' - interval 11 month as registered_within_12m,
    movement = 'new' as is_new,
    is_active,
    case
        when days <= 30 then 1 when days <= 90 then 2 when days <= 180 then 3
        when days <= 365 then 4 when days <= 730 then 5 else 6
    end as recency_band_rank,
    count(*) as n_profiles,
    count_if(status = 'customer' and coalesce(opening_status = 'prospect', first_order_date >= date '{month}')) as n_converted,
    count_if({opted_in_on_any}) as n_opted_in_any,
    count_if({filled_on_any}) as n_filled_any,
    {counted}
from (select *, date_diff('day', last_activity_date, date '{as_of}') as days from {closed} where is_in_base)
group by all;

create or replace table recency_monthly as
select
    date '{month}' as snapshot_month, date '{as_of}' as as_of_date, source, status, registered_within_12m, is_new,
    ['0-30', '31-90', '91-180', '181-365', '366-730', '731+'][recency_band_rank] as recency_band,
    recency_band_rank::bigint as recency_band_rank, sum(n_profiles)::bigint as n_profiles
from cube
group by all;

create or replace table status_monthly as
select
    date '{month}' as snapshot_month, date '{as_of}' as as_of_date, source, status, registered_within_12m, is_active,
    sum(n_profiles)::bigint as n_profiles, coalesce(sum(n_profiles) filter (is_new), 0)::bigint as n_new,
    sum(n_converted)::bigint as n_converted, sum(n_opted_in_any)::bigint as n_optin_any
from cube
group by all;

create or replace table fill_rate_monthly as
select
    date '{month}' as snapshot_month, date '{as_of}' as as_of_date, source, status, registered_within_12m, field,
    field_rank::bigint as field_rank, sum(n_profiles)::bigint as n_profiles, sum(n_filled)::bigint as n_filled
from (select *, unnest({fields}) as field, unnest([{n_fields}]) as n_filled, unnest(range(1, {n} + 1)) as field_rank from cube)
group by all;

create or replace table optin_rate_monthly as
select
    date '{month}' as snapshot_month, date '{as_of}' as as_of_date, source, status, registered_within_12m, channel,
    sum(n_profiles)::bigint as n_profiles, sum(n_filled)::bigint as n_filled, sum(n_opted_in)::bigint as n_opted_in
from (
    select
        *, unnest({channels}) as channel, unnest([{n_channels_filled}, n_filled_any]) as n_filled,
        unnest([{n_channels_opted_in}, n_opted_in_any]) as n_opted_in
    from cube
)
group by all;

create or replace table base_overview_monthly as
with by_source as (
    select
        snapshot_month, source, sum(n_profiles) as n_profiles, coalesce(sum(n_profiles) filter (is_active), 0) as n_active,
        sum(n_new) as n_new, sum(n_optin_any) as n_optin_any,
        coalesce(sum(n_profiles) filter (status = 'customer'), 0) as n_customers,
        coalesce(sum(n_profiles) filter (status = 'prospect'), 0) as n_prospects
    from (select * from status_monthly union all by name select * from status_before)
    group by all
),

levels as (
    select * from by_source
    union all
    select snapshot_month, 'all', sum(columns(* exclude (snapshot_month, source))) from by_source group by all
),

closing as (select * exclude (snapshot_month) from levels where snapshot_month = date '{month}'),

opening as (select * exclude (snapshot_month) from levels where snapshot_month < date '{month}')

select
    date '{month}' as snapshot_month, date '{as_of}' as as_of_date, source,
    coalesce(c.n_profiles, 0)::bigint as n_profiles, coalesce(c.n_active, 0)::bigint as n_active,
    coalesce(c.n_new, 0)::bigint as n_new, coalesce(c.n_optin_any, 0)::bigint as n_optin_any,
    coalesce(c.n_customers, 0)::bigint as n_customers, coalesce(c.n_prospects, 0)::bigint as n_prospects,
    (case when is_second then coalesce(o.n_profiles, 0) end)::bigint as n_profiles_prev_month,
    (case when is_second then coalesce(o.n_active, 0) end)::bigint as n_active_prev_month,
    (case when is_second then coalesce(o.n_new, 0) end)::bigint as n_new_prev_month,
    (case when is_second then coalesce(o.n_optin_any, 0) end)::bigint as n_optin_any_prev_month,
    (case when is_second then coalesce(o.n_customers, 0) end)::bigint as n_customers_prev_month,
    (case when is_second then coalesce(o.n_prospects, 0) end)::bigint as n_prospects_prev_month
from closing as c
full join opening as o using (source)
cross join (select count(*) > 0 as is_second from opening);

create or replace table flows_monthly as
with movements as (
    select *
    from (
        values
            ('opening', 1, 0), ('new', 2, 1), ('restored', 3, 1), ('reactivated', 4, 1), ('converted_in', 5, 1),
            ('reassigned_in', 6, 1), ('deleted', 7, -1), ('merged', 8, -1), ('lapsed', 9, -1), ('converted_out', 10, -1),
            ('reassigned_out', 11, -1), ('closing', 12, 0), ('transient', 13, 0), ('stable', 14, 0)
    ) as m (movement, movement_rank, sign)
),

counted as (
    select
        source, status, opening_source, opening_status, movement, is_in_base, is_active, opening_is_active,
        count(*) as n_profiles
    from {closed}
    where movement is not null
    group by all
),

scoped as (
    select *, 'base' as scope, opening_source is not null as was_in, is_in_base as is_in from counted
    union all
    select *, 'active', coalesce(opening_is_active, false), is_active from counted
),

judged as (
    select
        *,
        case
            when movement = 'transient' and scope = 'base' then 'transient'
            when was_in and not is_in then if(is_in_base, 'lapsed', 'deleted')
            when is_in and not was_in then if(movement in ('new', 'restored'), movement, 'reactivated')
            when is_in then movement
        end as outcome
    from scoped
),

lines as (
    select scope, opening_source as source, opening_status as status, 'opening' as movement, n_profiles from judged where was_in
    union all
    select scope, source, status, 'closing', n_profiles from judged where is_in
    union all
    select scope, source, status, outcome || if(outcome in ('converted', 'reassigned'), '_in', ''), n_profiles
    from judged where is_in or outcome = 'transient'
    union all
    select
        scope, opening_source, opening_status, outcome || if(outcome in ('converted', 'reassigned'), '_out', ''), n_profiles
    from judged where was_in and outcome <> 'stable'
)

select
    date '{month}' as snapshot_month, date '{as_of}' as as_of_date, source, status, scope, movement,
    movement_rank::bigint as movement_rank, sign::bigint as sign, sum(n_profiles)::bigint as n_profiles
from lines
inner join movements using (movement)
group by all;
