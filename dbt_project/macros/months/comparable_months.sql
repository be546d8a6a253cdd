{#
    Each month of the run beside the closed months from `n` months before it up to itself that have its definition: past_month, where
    that stands, and how many there are. A figure over months that are not all there is null, never the sum of those that are.
#}
{% macro comparable_months(closed_months, n) -%}
    select
        *,
        sum(case when is_month_before then 1 else 0 end) over (partition by snapshot_month) as n_months_before,
        sum(case when is_year_before then 1 else 0 end) over (partition by snapshot_month) as n_years_before,
        sum(case when is_in_12m then 1 else 0 end) over (partition by snapshot_month) as n_months_in_12m,
        sum(case when is_in_24m then 1 else 0 end) over (partition by snapshot_month) as n_months_in_24m
    from (
        select
            present.snapshot_month,
            present.as_of_date,
            present.definition_version,
            past.snapshot_month as past_month,
            past.snapshot_month = present.snapshot_month as is_this_month,
            past.snapshot_month = {{ add_months('present.snapshot_month', -1) }} as is_month_before,
            past.snapshot_month = {{ add_months('present.snapshot_month', -12) }} as is_year_before,
            past.snapshot_month > {{ add_months('present.snapshot_month', -12) }} as is_in_12m,
            past.snapshot_month > {{ add_months('present.snapshot_month', -24) }} as is_in_24m
        from {{ closed_months }} as present
        inner join {{ closed_months }} as past
            on
                present.snapshot_month >= past.snapshot_month
                and {{ add_months('present.snapshot_month', -n) }} <= past.snapshot_month
                and present.definition_version = past.definition_version
        where {{ in_months_of_run('present.snapshot_month') }}
    ) as pairs
{%- endmacro %}
