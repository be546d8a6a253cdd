-- Grain: month × source. What is wrong with the profiles of each source, in the whole base and among the new.
{{
    config(
        materialized='incremental',
        incremental_strategy='replace_months',
        on_schema_change='fail',
    )
}}

with contact_months as (

    select * from {{ ref('int_contact_months') }}
    where {{ in_months_of_run() }} and is_in_base

),

judged as (

    select
        *,
        {{ n_coordinates_where("<> 'no_coordinate'") }} as n_coordinates,
        {{ n_coordinates_where("= 'invalid'") }} as n_invalid,
        {{ is_opted_in_on_any() }} as is_opted_in,
        {{ has_optin_no_coordinate() }} as has_optin_no_coordinate
    from contact_months

),

final as (

    select
        snapshot_month,
        as_of_date,
        source,
        {% for suffix, condition in {'': 'true', '_new': "movement = 'new'"}.items() -%}
            cast(count(case when {{ condition }} then 1 end) as {{ dbt.type_bigint() }}) as n_profiles{{ suffix }},
            cast(count(case when {{ condition }} then 1 end) * {{ key_fields() | length }} as {{ dbt.type_bigint() }})
                as n_key_values{{ suffix }},
            {% for measure in ['n_key_fields_filled', 'n_values', 'n_placeholders', 'n_coordinates', 'n_invalid'] -%}
                cast(sum(case when {{ condition }} then {{ measure }} else 0 end) as {{ dbt.type_bigint() }})
                    as {{ measure }}{{ suffix }},
            {% endfor -%}
            {% for measure, flag in {
                'n_duplicate': 'is_duplicate', 'n_opted_in': 'is_opted_in', 'n_optin_no_coordinate': 'has_optin_no_coordinate'
            }.items() -%}
                cast(count(case when {{ condition }} and {{ flag }} then 1 end) as {{ dbt.type_bigint() }})
                    as {{ measure }}{{ suffix }},
            {% endfor -%}
        {% endfor -%}
        definition_version
    from judged
    group by snapshot_month, as_of_date, source, definition_version

)

select * from final
