-- At which conditions and with which margin do the accounts buy? Rates over all of them come from sums.
select
    snapshot_month,
    count(*) as n_accounts,
    sum(n_orders_12m) as n_orders_12m,
    round(cast(sum(paid_amount_12m) as decimal(18, 6)), 0) as paid_amount_12m,
    round(
        cast(100 * (1 - sum(paid_amount_with_list_12m) / nullif(sum(list_amount_12m), 0)) as decimal(18, 6)), 1
    ) as discount_percent,
    round(
        cast(100 * sum(margin_amount_12m) / nullif(sum(paid_amount_with_cost_12m), 0) as decimal(18, 6)), 1
    ) as margin_percent,
    sum(n_contracts_ending_3m) as n_contracts_ending_3m,
    round(
        100.0 * sum(n_roles_contactable) / sum(n_roles_contactable + n_roles_not_contactable + n_roles_missing), 1
    ) as roles_contactable_percent
from marts.accounts_monthly
group by snapshot_month
order by snapshot_month
