-- Grain: month × account that was there at the as-of date. Without accounts, no row.
{%- set amounts = ['paid_amount', 'list_amount', 'paid_amount_with_list', 'margin_amount', 'paid_amount_with_cost'] %}
{%- set horizons = [1, 3, 12] %}

with months as (

    select distinct
        snapshot_month,
        as_of_date
    from {{ ref('status_monthly') }}
    where {{ in_months_of_run() }}

),

accounts as (

    select * from {{ ref('int_accounts') }}

),

orders as (

    select * from {{ ref('int_account_orders') }}

),

contracts as (

    select * from {{ ref('int_account_contracts') }}

),

covered as (

    select * from {{ ref('int_account_coverage') }}
    -- Without accounts, nobody's state is read.
    where {{ in_months_of_run() if has_rows(ref('int_accounts')) else 'false' }}

),

account_months as (

    select
        months.snapshot_month,
        months.as_of_date,
        accounts.account_id,
        accounts.account_name,
        accounts.industry
    from months
    cross join accounts
    where accounts.created_date is null or accounts.created_date <= months.as_of_date

),

bought as (

    select
        account_months.snapshot_month,
        account_months.account_id,
        {% for measure in ['n_orders', 'quantity'] + amounts -%}
            sum(case when orders.order_month = account_months.snapshot_month then orders.{{ measure }} end) as {{ measure }},
            sum(orders.{{ measure }}) as {{ measure }}_12m,
        {% endfor -%}
        max(orders.currency) as currency,
        coalesce(min(orders.currency) <> max(orders.currency), false) as has_several_currencies
    from account_months
    inner join orders
        on
            account_months.account_id = orders.account_id
            and account_months.snapshot_month >= orders.order_month
            and {{ add_months('account_months.snapshot_month', -12) }} < orders.order_month
            and (orders.valid_from_month is null or account_months.snapshot_month >= orders.valid_from_month)
            and (orders.valid_until_month is null or account_months.snapshot_month < orders.valid_until_month)
    group by account_months.snapshot_month, account_months.account_id

),

-- At the end of the as-of date, a contract that ends on it has ended.
contract_months as (

    select
        account_months.snapshot_month,
        account_months.account_id,
        contracts.ends_date,
        {% for horizon in horizons -%}
            contracts.ends_date < {{ add_months('account_months.snapshot_month', horizon + 1) }} as ends_within_{{ horizon }}m,
        {% endfor -%}
        contracts.recurring_amount,
        case
            when contracts.ends_date <= account_months.as_of_date then 'ended'
            when contracts.started_date > account_months.as_of_date then 'upcoming'
            else 'active'
        end as contract_status
    from account_months
    inner join contracts on account_months.account_id = contracts.account_id

),

contracted as (

    select
        snapshot_month,
        account_id,
        case
            when max(case when contract_status = 'active' then 1 end) = 1 then 'active'
            when max(case when contract_status = 'upcoming' then 1 end) = 1 then 'upcoming'
            else 'ended'
        end as contract_status,
        count(case when contract_status = 'active' then 1 end) as n_contracts_active,
        count(case when contract_status = 'active' then recurring_amount end) as n_contracts_with_amount,
        sum(case when contract_status = 'active' then recurring_amount end) as recurring_amount,
        {% for horizon in horizons -%}
            count(case when contract_status = 'active' and ends_within_{{ horizon }}m then 1 end)
                as n_contracts_ending_{{ horizon }}m,
            sum(case when contract_status = 'active' and ends_within_{{ horizon }}m then recurring_amount end)
                as recurring_amount_ending_{{ horizon }}m,
        {% endfor -%}
        min(case when contract_status = 'active' then ends_date end) as next_contract_end_date
    from contract_months
    group by snapshot_month, account_id

),

joined as (

    select
        account_months.*,
        contracted.next_contract_end_date,
        coalesce(contracted.contract_status, 'none') as contract_status,
        -- Euros and dollars have no sum.
        case when not bought.has_several_currencies then bought.currency end as currency,
        coalesce(bought.has_several_currencies, false) as has_several_currencies,
        {% for measure in amounts -%}
            {% for name in [measure, measure ~ '_12m'] -%}
                case when not coalesce(bought.has_several_currencies, false) then round(coalesce(bought.{{ name }}, 0), 2) end
                    as {{ name }},
            {% endfor -%}
        {% endfor -%}
        {% for name in ['quantity', 'quantity_12m'] -%}
            round(coalesce(bought.{{ name }}, 0), 3) as {{ name }},
        {% endfor -%}
        round(coalesce(contracted.recurring_amount, 0), 2) as recurring_amount,
        {% for horizon in horizons -%}
            round(coalesce(contracted.recurring_amount_ending_{{ horizon }}m, 0), 2) as recurring_amount_ending_{{ horizon }}m,
            coalesce(contracted.n_contracts_ending_{{ horizon }}m, 0) as n_contracts_ending_{{ horizon }}m,
        {% endfor -%}
        coalesce(contracted.n_contracts_active, 0) as n_contracts_active,
        coalesce(contracted.n_contracts_with_amount, 0) as n_contracts_with_amount,
        {% for role in buying_roles() -%}
            coalesce(covered.{{ role }}_coverage, 'missing') as {{ role }}_coverage,
        {% endfor -%}
        coalesce(covered.n_contacts, 0) as n_contacts,
        coalesce(covered.n_contacts_active, 0) as n_contacts_active,
        coalesce(covered.n_contacts_contactable, 0) as n_contacts_contactable,
        cast(coalesce(bought.n_orders, 0) as {{ dbt.type_bigint() }}) as n_orders,
        cast(coalesce(bought.n_orders_12m, 0) as {{ dbt.type_bigint() }}) as n_orders_12m
    from account_months
    left join bought
        on account_months.snapshot_month = bought.snapshot_month and account_months.account_id = bought.account_id
    left join contracted
        on account_months.snapshot_month = contracted.snapshot_month and account_months.account_id = contracted.account_id
    left join covered
        on account_months.snapshot_month = covered.snapshot_month and account_months.account_id = covered.account_id

),

final as (

    select
        snapshot_month,
        as_of_date,
        account_id,
        account_name,
        industry,
        n_orders,
        n_orders_12m,
        quantity,
        quantity_12m,
        currency,
        has_several_currencies,
        {% for measure in amounts -%}
            {{ measure }},
            {{ measure }}_12m,
        {% endfor -%}
        1 - paid_amount_with_list_12m / nullif(list_amount_12m, 0) as discount_rate_12m,
        margin_amount_12m / nullif(paid_amount_with_cost_12m, 0) as margin_rate_12m,
        contract_status,
        n_contracts_active,
        n_contracts_with_amount,
        recurring_amount,
        {% for horizon in horizons -%}
            n_contracts_ending_{{ horizon }}m,
            recurring_amount_ending_{{ horizon }}m,
        {% endfor -%}
        next_contract_end_date,
        n_contacts,
        n_contacts_active,
        n_contacts_contactable,
        {% for role in buying_roles() -%}
            {{ role }}_coverage,
        {% endfor -%}
        {% for coverage in ['contactable', 'not_contactable', 'missing'] -%}
            cast(
                {% for role in buying_roles() -%}
                    case when {{ role }}_coverage = '{{ coverage }}' then 1 else 0 end{{ ' + ' if not loop.last }}
                {%- endfor %} as {{ dbt.type_bigint() }}
            ) as n_roles_{{ coverage }},
        {% endfor -%}
        {{ is_reconstructed() }} as is_reconstructed,
        {{ definition_version(['contract_statuses_not_counted']) }} as definition_version
    from joined

)

select * from final
