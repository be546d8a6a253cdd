-- Grain: order, with the status it ends up in; orders.sql fills it month by month.
create table order_lines (
    order_id varchar, customer_id varchar, ordered_at timestamp, final_status varchar, amount double, currency varchar,
    quantity double, list_amount double, cost_amount double, loaded_at timestamp
);
