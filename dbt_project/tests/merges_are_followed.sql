-- Why: a merge that leads in a circle, or to a profile that the files do not have, takes nobody's activities to anybody.
-- Returns a row for each merge that became known in the months of the run and leads nowhere; they are closed all the same.
{{
    config(
        severity='warn',
        meta={
            'dagster': {'ref': {'name': 'int_merge_steps'}},
            'description': 'Each merge leads to a profile of the files, and not back to the merged profile itself.',
        }
    )
}}

select
    {{ month_start('steps.known_date') }} as known_month,
    case when steps.is_followed then 'unknown survivor' else 'circle' end as reason
from {{ ref('int_merge_steps') }} as steps
left join {{ ref('stg_customers') }} as survivors on steps.survivor_customer_id = survivors.customer_id
left join {{ ref('int_merge_steps') }} as next_steps on steps.survivor_customer_id = next_steps.merged_customer_id
where
    {{ in_months_of_run(month_start('steps.known_date')) }}
    and (not steps.is_followed or (survivors.customer_id is null and next_steps.merged_customer_id is null))
