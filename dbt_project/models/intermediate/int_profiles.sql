-- Grain: customer.
{{ config(materialized='once') }}

with customers as (

    select * from {{ ref('stg_customers') }}

),

dated as (

    select
        *,
        {{ local_date('created_at') }} as created_date,
        {{ local_date('deleted_at') }} as deleted_date
    from customers

),

final as (

    select
        customer_id,
        source,
        {% for field in var('profile_fields') if field.name != 'birth_date' -%}
            {% for column in field_columns(field) -%}
                {{ is_filled(column) }}{{ ' and ' if not loop.last }}
            {%- endfor %} as has_{{ field.name }},
        {% endfor -%}
        case
            when birth_date not in ({{ date_list(var('placeholders')['birth_dates']) }}) then birth_date
        end as birth_date,
        birth_date is not null as is_birth_date_given,
        case
            {% for gender in ['F', 'M', 'X'] -%}
                when upper({{ strip_blanks('gender') }}) = '{{ gender }}' then '{{ gender }}'
            {% endfor -%}
        end as gender,
        created_at,
        created_date,
        first_loaded_at,
        {{ late_date('first_loaded_at') }} as late_date,
        {{ known_date('deleted_date', late_date('deletion_loaded_at'), 'deletion_loaded_at') }} as left_date
    from dated

)

select * from final
