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
            count(case when has_{{ field }} then 1 end) as n_filled_{{ loop.index }},
        {% endfor -%}
        count(*) as n_profiles
    from customer_months
    group by snapshot_month, as_of_date, source, status, registered_within_12m, definition_version

),

fields as (

    {% for field in var('profile_fields') -%}
        select
            '{{ field.name }}' as field,
            cast({{ loop.index }} as {{ dbt.type_bigint() }}) as field_rank,
            '{{ field.get('kind', 'other') }}' as field_kind,
            {{ 'true' if field.get('key') else 'false' }} as is_key_field,
            cast({{ field.get('weight', 1) }} as {{ type_double() }}) as field_weight
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
        fields.field_kind,
        fields.is_key_field,
        fields.field_weight,
        counted.n_profiles,
        case fields.field_rank
            {% for field in profile_field_names() -%}
                when {{ loop.index }} then counted.n_filled_{{ loop.index }}
            {% endfor -%}
        end as n_filled,
        {{ is_reconstructed('counted.snapshot_month') }} as is_reconstructed,
        counted.definition_version
    from counted
    cross join fields

)

select * from final
