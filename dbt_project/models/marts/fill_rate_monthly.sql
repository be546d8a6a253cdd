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

final as (

    {% for field in profile_field_names() -%}
        select
            snapshot_month,
            as_of_date,
            source,
            status,
            registered_within_12m,
            '{{ field }}' as field,
            cast({{ loop.index }} as {{ dbt.type_bigint() }}) as field_rank,
            n_profiles,
            n_{{ field }} as n_filled,
            definition_version
        from counted
        {{ 'union all' if not loop.last }}
    {% endfor %}

)

select * from final
