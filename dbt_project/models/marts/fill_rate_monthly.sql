-- Grain: month × source × status × registered within 12 months × profile field.
with customer_months as (

    select * from {{ ref('fct_customer_months') }}
    where {{ in_months_of_run() }}

),

counted as (

    select
        snapshot_month,
        as_of_date,
        source,
        status,
        registered_within_12m,
        definition_version,
        {% for field in profile_field_names() -%}
            count(case when has_{{ field }} then 1 end) as n_{{ field }},
        {% endfor -%}
        count(*) as n_profiles
    from customer_months
    group by snapshot_month, as_of_date, source, status, registered_within_12m, definition_version

),

fields as (

    {% for field in profile_field_names() -%}
        select
            '{{ field }}' as field,
            cast({{ loop.index }} as {{ dbt.type_bigint() }}) as field_rank
        {{ 'union all' if not loop.last }}
    {% endfor %}

),

-- A cross join and not a union of one query per field: an engine that does not keep `counted` would count once per field.
final as (

    select
        counted.snapshot_month,
        counted.as_of_date,
        counted.source,
        counted.status,
        counted.registered_within_12m,
        fields.field,
        fields.field_rank,
        counted.n_profiles,
        case fields.field
            {% for field in profile_field_names() -%}
                when '{{ field }}' then counted.n_{{ field }}
            {% endfor -%}
        end as n_filled,
        counted.definition_version
    from counted
    cross join fields

)

select * from final
