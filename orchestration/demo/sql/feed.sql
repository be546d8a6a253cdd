-- What the feeds deliver, one view per table: as the tables, dates as text, orders again when their status changes.
create view feed_customers as from customers;

create view feed_consents as from consents;

-- The till delivers its last two days with the night after the month's last one: the fault that the alerts of the demo show. Its
-- rows are still in time for their month.
create view feed_orders as
with till as (
    select distinct customer_id from customers where lower(trim(source)) = 'till'
),
order_nights as (
    select
        orders.* exclude (loaded_at),
        till.customer_id is not null and ordered_at >= getvariable('end_at') - interval 50 hours as is_held,
        if(is_held, night_after(getvariable('end_at'), u(hash(order_id) >> 1, 'load')), loaded_at) as loaded_at
    from order_lines as orders left join till using (customer_id)
),
states as (
    select
        *,
        hash(order_id) >> 1 as key,
        if(final_status = 'cancelled', 1, 2 + 10 * u(key, 'refund')) as days_to_change,
        night_after(plus_days(ordered_at, days_to_change), u(key, 'load')) as changed_at,
        -- Known to the feed as a change: an order of the nightly part whose new status still comes in time.
        final_status <> 'completed' and ordered_at >= getvariable('cut_at') and not is_held as is_change
    from order_nights
)
select order_id, customer_id, ordered_at, if(is_change, 'completed', final_status) as status,
    amount, currency, quantity, list_amount, cost_amount, loaded_at
from states
union all
select order_id, customer_id, ordered_at, final_status, amount, currency, quantity, list_amount, cost_amount, changed_at
from states
where is_change and changed_at < getvariable('end_at') + interval 2 days;
