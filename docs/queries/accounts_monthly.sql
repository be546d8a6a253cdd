-- Which accounts are up for renewal, what do they bring, and whom can we not reach there? The latest month.
select
    account_name,
    n_orders_12m,
    paid_amount_12m,
    round(cast(100 * discount_rate_12m as decimal(18, 6)), 1) as discount_percent,
    round(cast(100 * margin_rate_12m as decimal(18, 6)), 1) as margin_percent,
    contract_status,
    next_contract_end_date,
    n_contracts_ending_3m,
    n_contacts_contactable,
    decision_maker_coverage,
    n_roles_missing
from marts.accounts_monthly
where snapshot_month = (select max(snapshot_month) from marts.accounts_monthly)
order by next_contract_end_date, paid_amount_12m desc
