-- Grain: account × closed month: its contacts in the base at the close, and whom each part in its decision is covered by.
with contacts as (

    select * from {{ ref('int_account_contacts') }}

),

customer_months as (

    select * from {{ ref('fct_customer_months') }}

),

contact_months as (

    select * from {{ ref('fct_contact_months') }}

),

reached as (

    select
        customer_months.snapshot_month,
        contacts.*,
        customer_months.is_active,
        coalesce(
            {% for channel in var('channels') -%}
                contact_months.{{ channel }}_stage = 'contactable'{{ ' or ' if not loop.last }}
            {%- endfor %}, false
        ) as is_contactable
    from contacts
    inner join customer_months on contacts.customer_id = customer_months.customer_id
    left join contact_months
        on
            customer_months.customer_id = contact_months.customer_id
            and customer_months.snapshot_month = contact_months.snapshot_month

),

final as (

    select
        snapshot_month,
        account_id,
        {% for role in buying_roles() -%}
            case
                when count(case when is_{{ role }} and is_contactable then 1 end) > 0 then 'contactable'
                when count(case when is_{{ role }} then 1 end) > 0 then 'not_contactable'
                else 'missing'
            end as {{ role }}_coverage,
        {% endfor -%}
        count(*) as n_contacts,
        count(case when is_active then 1 end) as n_contacts_active,
        count(case when is_contactable then 1 end) as n_contacts_contactable
    from reached
    group by snapshot_month, account_id

)

select * from final
