-- Grain: month × source × status: profiles whose retention is over or soon will be, and profiles that left.
with customer_months as (

    select * from {{ ref('int_customer_months') }}
    where {{ in_months_of_run() }} and (is_in_base or movement = 'deleted')

),

-- A profile that left counts in the segment that it left.
placed as (

    select
        snapshot_month,
        as_of_date,
        case when is_in_base then source else opening_source end as source,
        case when is_in_base then status else opening_status end as status,
        is_in_base,
        case when is_in_base then {{ retention_due_date('status', 'last_activity_date') }} end as due_date
    from customer_months

),

final as (

    select
        snapshot_month,
        as_of_date,
        source,
        status,
        count(case when is_in_base then 1 end) as n_profiles,
        count(case when due_date <= as_of_date then 1 end) as n_overdue,
        count(case when due_date <= as_of_date and due_date >= snapshot_month then 1 end) as n_newly_overdue,
        {% for months in [1, 3, 12] -%}
            count(case when due_date > as_of_date and due_date < {{ add_months('snapshot_month', months + 1) }} then 1 end)
                as n_due_{{ months }}m,
        {% endfor -%}
        count(case when not is_in_base then 1 end) as n_deleted,
        {{ is_reconstructed() }} as is_reconstructed,
        {{ definition_version(['retention_months']) }} as definition_version
    from placed
    group by snapshot_month, as_of_date, source, status

)

select * from final
