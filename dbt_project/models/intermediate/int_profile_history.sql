-- Grain: customer × month from which on its state holds. Only what changed; a profile that is gone has a row that says so.
-- A run observes once, under the first open month. Later open months have the same state; closed months keep what they had.
{{
    config(
        materialized='incremental',
        incremental_strategy='microbatch',
        event_time='snapshot_month',
        batch_size='month',
        begin='1900-01-01',
        concurrent_batches=false,
        on_schema_change='fail',
        full_refresh=false,
    )
}}

{%- set month = closing_month() -%}
{%- set open_month = first_open_month() -%}
{%- set columns = profile_state() -%}
{%- set history = before_the_run(this) -%}
{%- set is_observed_before = has_months_before(history, open_month) -%}
{%- set is_closed = month < open_month and is_observed_before %}

with {% if is_closed -%}
    final as (

        select
            snapshot_month,
            customer_id,
            {{ kept_columns(history, columns) -}}
            is_gone
        from {{ history }}
        where snapshot_month = date '{{ month }}'

    )
{% else -%}
    profiles as (

        select
            *,
            {{ birth_month('birth_date') }} as birth_month
        from {{ ref('int_profiles') }}

    ),

    observed_before as (

        {% if is_observed_before -%}
            select
                customer_id,
                {{ kept_columns(history, columns) -}}
                is_gone,
                row_number() over (partition by customer_id order by snapshot_month desc) as nth_latest
            from {{ history }}
            where snapshot_month < date '{{ month }}'
        {%- else -%}
            select
                cast(null as {{ dbt.type_string() }}) as customer_id,
                {{ null_columns(columns) -}}
                false as is_gone,
                1 as nth_latest
            limit 0
        {%- endif %}

    ),

    latest as (

        select * from observed_before
        where nth_latest = 1 and not is_gone

    ),

    final as (

        select
            date '{{ month }}' as snapshot_month,
            coalesce(profiles.customer_id, latest.customer_id) as customer_id,
            {% for name in columns -%}
                profiles.{{ name }},
            {% endfor -%}
            profiles.customer_id is null as is_gone
        from profiles
        full join latest on profiles.customer_id = latest.customer_id
        where
            {% if month != open_month -%}
                false
            {%- else -%}
                profiles.customer_id is null
                or latest.customer_id is null
                {% for name in columns -%}
                    or {{ differ('profiles.' ~ name, 'latest.' ~ name) }}
                {% endfor %}
            {%- endif %}

    )
{% endif %}
select * from final
