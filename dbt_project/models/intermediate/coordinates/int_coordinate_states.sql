-- Grain: customer × months in which its coordinates were known so, as int_profile_states.
-- depends_on: {{ ref('int_coordinate_history') }}
{%- set months = months_of_run() -%}
{%- set open_month = first_open_month() -%}
{%- set reads_history = months.first < open_month and has_months_before(ref('int_coordinate_history'), open_month) -%}
{%- set columns = coordinate_state().keys() | list %}

with coordinates as (

    select * from {{ ref('int_coordinates') }}

),

known_now as (

    select
        customer_id,
        {{ columns | join(', ') }},
        email_address,
        phone_number,
        cast({{ "'" ~ open_month ~ "'" if reads_history else 'null' }} as date) as valid_from_month,
        cast(null as date) as valid_until_month
    from coordinates

),

{% if reads_history -%}
    history as (

        select
            *,
            lead(snapshot_month) over (partition by customer_id order by snapshot_month) as next_month,
            min(snapshot_month) over () as first_observed_month
        from {{ ref('int_coordinate_history') }}
        where snapshot_month < date '{{ open_month }}'

    ),

    -- The values themselves are not kept: who shares one, or named another, is told by those of now.
    known_then as (

        select
            history.customer_id,
            {% for name in columns -%}
                history.{{ name }},
            {% endfor -%}
            coordinates.email_address,
            coordinates.phone_number,
            case when history.snapshot_month > history.first_observed_month then history.snapshot_month end
                as valid_from_month,
            coalesce(history.next_month, date '{{ open_month }}') as valid_until_month
        from history
        left join coordinates on history.customer_id = coordinates.customer_id
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
