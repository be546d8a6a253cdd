-- Grain: month × source. What is wrong with the profiles of each source, in the whole base and among the new.
{{
    config(
        materialized='incremental',
        incremental_strategy='replace_months',
        partition_by={'field': 'snapshot_month', 'data_type': 'date', 'granularity': 'month'} if target.type == 'bigquery' else none,
        on_schema_change='fail',
    )
}}

{%- set n_key_fields = var('profile_fields') | selectattr('key', 'defined') | selectattr('key') | list | length -%}
{%- set channels = var('channels') -%}
{%- set forms = [] -%}
{%- for coordinate in coordinates() -%}
    {%- do forms.append(channels_of(coordinate) | last) -%}
{%- endfor %}

with contact_months as (

    select * from {{ ref('int_contact_months') }}
    where {{ in_months_of_run() }} and is_in_base

),

judged as (

    select
        *,
        {% for channel in forms -%}
            case when {{ channel }}_stage <> 'no_coordinate' then 1 else 0 end{{ ' + ' if not loop.last }}
        {%- endfor %} as n_coordinates,
        {% for channel in forms -%}
            case when {{ channel }}_stage = 'invalid' then 1 else 0 end{{ ' + ' if not loop.last }}
        {%- endfor %} as n_invalid,
        {{ is_opted_in_on_any() }} as is_opted_in,
        {% for channel in channels -%}
            ({{ channel }}_is_opted_in and {{ channel }}_stage = 'no_coordinate'){{ ' or ' if not loop.last }}
        {%- endfor %} as has_optin_no_coordinate
    from contact_months

),

final as (

    select
        snapshot_month,
        as_of_date,
        source,
        {% for suffix, condition in {'': 'true', '_new': "movement = 'new'"}.items() -%}
            cast(count(case when {{ condition }} then 1 end) as {{ dbt.type_bigint() }}) as n_profiles{{ suffix }},
            cast(count(case when {{ condition }} then 1 end) * {{ n_key_fields }} as {{ dbt.type_bigint() }})
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
