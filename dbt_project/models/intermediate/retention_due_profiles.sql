-- Grain: customer, at the latest closed month: profiles overdue for deletion, or due by the end of the next month. For the DPO.
{{ config(schema='private') }}

with customer_months as (

    select * from {{ ref('fct_customer_months').include(database=false) }}

),

-- Whichever months the run closed.
latest_month as (

    select max(snapshot_month) as snapshot_month
    from {{ ref('fct_customer_months').include(database=false) }}

),

due as (

    select
        customer_months.*,
        {{ retention_due_date('customer_months.status', 'customer_months.last_activity_date') }} as due_date,
        case customer_months.status
            {% for name, months in var('retention_months').items() -%}
                when '{{ name }}' then {{ months }}
            {% endfor -%}
        end as retention_months
    from customer_months
    inner join latest_month on customer_months.snapshot_month = latest_month.snapshot_month

),

final as (

    select
        as_of_date,
        customer_id,
        source,
        status,
        last_activity_type,
        cast(retention_months as {{ dbt.type_bigint() }}) as retention_months,
        due_date <= as_of_date as is_overdue,
        last_activity_date,
        due_date
    from due
    where due_date < {{ add_months('snapshot_month', 2) }}

)

select * from final
