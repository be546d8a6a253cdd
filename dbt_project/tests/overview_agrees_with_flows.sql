-- Why: two marts that tell two levels of one base are worse than none.
-- Returns rows when they differ.
{{
    config(
        meta={
            'dagster': {'ref': {'name': 'base_overview_monthly'}},
            'description': 'The whole base in the overview is the sum of its sources, its customers plus its prospects, and the closing of the flows; its new profiles are those that the flows saw enter.',
        }
    )
}}

with overview as (

    select
        snapshot_month,
        sum(case when source = 'all' then n_profiles else 0 end) as n_profiles,
        sum(case when source = 'all' then n_active else 0 end) as n_active,
        sum(case when source = 'all' then n_new else 0 end) as n_new,
        sum(case when source = 'all' then n_customers + n_prospects else 0 end) as n_by_status,
        sum(case when source <> 'all' then n_profiles else 0 end) as n_by_source
    from {{ ref('base_overview_monthly') }}
    where {{ in_months_of_run() }}
    group by snapshot_month

),

flows as (

    select
        snapshot_month,
        sum(case when scope = 'base' and movement = 'closing' then n_profiles else 0 end) as n_profiles,
        sum(case when scope = 'active' and movement = 'closing' then n_profiles else 0 end) as n_active,
        sum(case when scope = 'base' and movement = 'new' then n_profiles else 0 end) as n_new
    from {{ ref('flows_monthly') }}
    where {{ in_months_of_run() }}
    group by snapshot_month

)

select
    overview.*,
    flows.n_profiles as n_profiles_in_flows
from overview
full join flows on overview.snapshot_month = flows.snapshot_month
where
    overview.n_profiles is null
    or overview.n_profiles <> overview.n_by_source
    or overview.n_profiles <> overview.n_by_status
    or overview.n_profiles <> coalesce(flows.n_profiles, 0)
    or overview.n_active <> coalesce(flows.n_active, 0)
    or overview.n_new <> coalesce(flows.n_new, 0)
