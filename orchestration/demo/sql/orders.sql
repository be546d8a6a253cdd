-- Grain: order, those of one month ($month). The first iteration also brings every first order before it.
insert into order_lines
with expected_orders as (
    select
        n, m, month_end, account,
        greatest(from_at, first_order_at) as from_at, to_at,
        unnest(range(floor(expected * getvariable('order_rate') + u(m * 100000000 + n, 'orders'))::bigint)) as i
    from exposure
    where m = $month and state = 'engaged' and first_order_at < to_at
),
repeats as (
    select
        n, account, (m + 13) * 100000000000 + n * 1000 + i as key,
        moment(key, from_at, to_at, month_end) as ordered_at, 'repeat' as kind
    from expected_orders
),
-- First orders count; a few prospects have an order that does not.
firsts as (
    select n, account, n as key, coalesce(first_order_at, plus_days(created_at, 3 * u(n, 'void order'))) as ordered_at,
        if(first_order_at is null, 'void', 'first') as kind
    from lives
    where (first_order_at is not null or u(n, 'void') < 0.03)
        and ordered_at < coalesce(deleted_at, getvariable('end_at'))
),
made as (
    from repeats
    union all
    select firsts.*
    from firsts inner join months on m = $month and ordered_at < month_end and (ordered_at >= month_start or m = -12)
),
priced as (
    select
        *,
        case
            when kind = 'first' then 'completed'
            when kind = 'void' or u(key, 'status') < 0.06 then 'cancelled'
            when u(key, 'status') < 0.11 then 'refunded'
            else 'completed'
        end as final_status,
        1 + floor(if(account is null, 3, 200) * pow(u(key, 'quantity'), 2)) as quantity,
        round(quantity * (9 + 60 * pow(u(key, 'price'), 3)), 2) as list_amount,
        case
            when account is not null then 0.05 + 0.25 * u(account, 'discount')
            when u(key, 'promotion') < 0.3 then 0.1 + 0.2 * u(key, 'discount')
            else 0
        end as discount,
        case
            when kind = 'first' or u(key, 'odd amount') >= 0.008 then 1
            when u(key, 'odd amount') < 0.003 then -1
            else 0
        end as sense
    from made
)
select
    'O' || key as order_id,
    if(kind = 'repeat' and u(key, 'orphan') < getvariable('orphan_share'), 'X', '') || customer_key(n) as customer_id,
    ordered_at, final_status,
    round(sense * list_amount * (1 - discount), 2) as amount,
    'EUR' as currency,
    quantity, list_amount,
    round(list_amount * (0.45 + 0.2 * u(key, 'cost')), 2) as cost_amount,
    night_after(ordered_at, u(key, 'load')) as loaded_at
from priced
order by ordered_at, order_id;
