-- Grain: customer × months in which it was known so. A run that closes open months reads what is known now, and no history.
-- depends_on: {{ ref('int_profile_history') }}
{%- set months = months_of_run() -%}
{%- set open_month = first_open_month() -%}
{%- set reads_history = months.first < open_month and has_months_before(ref('int_profile_history'), open_month) %}

with profiles as (

    select * from {{ ref('int_profiles') }}

),

known_now as (

    select
        customer_id,
        source,
        {% for field in profile_field_names() if field != 'birth_date' -%}
            has_{{ field }},
        {% endfor -%}
        birth_date,
        is_birth_date_given,
        gender,
        created_at,
        created_date,
        first_loaded_at,
        late_date,
        left_date,
        {% for name in profile_dates() -%}
            {{ name }} as {{ name }}_now,
        {% endfor -%}
        cast({{ "'" ~ open_month ~ "'" if reads_history else 'null' }} as date) as valid_from_month,
        cast(null as date) as valid_until_month
    from profiles

),

{% if reads_history -%}
    history as (

        select
            *,
            lead(snapshot_month) over (partition by customer_id order by snapshot_month) as next_month,
            min(snapshot_month) over () as first_observed_month
        from {{ ref('int_profile_history') }}
        where snapshot_month < date '{{ open_month }}'

    ),

    -- Months from before the history have its earliest states. Fields that were not followed then are as they are now.
    known_then as (

        select
            history.customer_id,
            history.source,
            {% for field in profile_field_names() if field != 'birth_date' -%}
                coalesce(history.has_{{ field }}, profiles.has_{{ field }}, false) as has_{{ field }},
            {% endfor -%}
            history.birth_month as birth_date,
            history.is_birth_date_given,
            history.gender,
            history.created_at,
            {{ local_date('history.created_at') }} as created_date,
            history.first_loaded_at,
            history.late_date,
            history.left_date,
            {% for name in profile_dates() -%}
                {% set then = local_date('history.created_at') if name == 'created_date' else 'history.' ~ name -%}
                case when profiles.customer_id is null then {{ then }} else profiles.{{ name }} end as {{ name }}_now,
            {% endfor -%}
            case when history.snapshot_month > history.first_observed_month then history.snapshot_month end
                as valid_from_month,
            coalesce(history.next_month, date '{{ open_month }}') as valid_until_month
        from history
        left join profiles on history.customer_id = profiles.customer_id
        where not history.is_gone

    ),

    final as (

        select * from known_then
        union all
        select * from known_now

    )
{% else -%}
    final as (

        select * from known_now

    )
{% endif %}
select * from final
