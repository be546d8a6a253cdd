-- Grain: customer.
{{ config(materialized='table') }}

with customers as (

    select * from {{ ref('stg_customers') }}

),

first_traces as (

    select * from {{ ref('int_first_traces') }}

),

dated as (

    select
        customers.*,
        coalesce(
            {{ local_date('coalesce(customers.created_at, first_traces.first_trace_at)') }}, date '{{ first_month() }}'
        ) as created_date,
        {{ local_date('customers.deleted_at') }} as deleted_date
    from customers
    left join first_traces on customers.customer_id = first_traces.customer_id

),

final as (

    select
        customer_id,
        source,
        {% for field in var('profile_fields') if field.name != 'birth_date' -%}
            {% for column in field.get('columns', [field.name]) -%}
                {{ is_filled(column) }}{{ ' and ' if not loop.last }}
            {%- endfor %} as has_{{ field.name }},
        {% endfor -%}
        case
            when birth_date not in ({{ quoted_list(var('placeholders')['birth_dates']) }}) then birth_date
        end as birth_date,
        created_at,
        created_date,
        {{ known_date('created_date', 'first_loaded_at') }} as arrived_date,
        {{ known_date('deleted_date', 'deletion_loaded_at') }} as left_date
    from dated

)

select * from final
