-- Why: a bathtub whose level does not follow from its tap and its drain counts somebody twice or loses somebody.
-- Returns rows when a bridge does not close.
{{
    config(
        meta={
            'dagster': {'ref': {'name': 'flows_monthly'}},
            'description': 'Opening + inflows - outflows = closing, for every month, source, status and scope.',
        }
    )
}}

select
    snapshot_month,
    source,
    status,
    scope,
    sum(case when movement = 'opening' then n_profiles else 0 end) as n_opening,
    sum(sign * n_profiles) as n_net,
    sum(case when movement = 'closing' then n_profiles else 0 end) as n_closing
from {{ ref('flows_monthly') }}
where {{ in_months_of_run() }}
group by snapshot_month, source, status, scope
having
    sum(case when movement = 'opening' then n_profiles else 0 end) + sum(sign * n_profiles)
    <> sum(case when movement = 'closing' then n_profiles else 0 end)
