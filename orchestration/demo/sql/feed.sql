-- What the feeds deliver, one view per table: as the tables, dates as text, orders again when their status changes.
create view feed_customers as from customers;

create view feed_consents as from consents;

create view feed_orders as
with states as (
    select
        *,
        hash(order_id) >> 1 as key,
        if(final_status = 'cancelled', 1, 2 + 10 * u(key, 'refund')) as days_to_change,
        night_after(plus_days(ordered_at, days_to_change), u(key, 'load')) as changed_at,
        -- Known to the feed as a change: an order of the nightly part whose new status still comes in time.
        final_status <> 'completed' and ordered_at >= getvariable('cut_at') as is_change
    from order_lines
)
select order_id, customer_id, ordered_at, if(is_change, 'completed', final_status) as status,
    amount, currency, quantity, list_amount, cost_amount, loaded_at
from states
union all
select order_id, customer_id, ordered_at, final_status, amount, currency, quantity, list_amount, cost_amount, changed_at
from states
where is_change and changed_at < getvariable('end_at') + interval 2 days;
