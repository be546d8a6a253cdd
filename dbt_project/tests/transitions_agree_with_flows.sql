-- Why: a projection from steps that lose or double somebody drains or fills by itself.
-- Returns rows when the steps of a month do not make its flows.
{{
    config(
        meta={
            'dagster': {'ref': {'name': 'int_transitions'}},
            'description': 'Transitions begin with the opening, end with the closing, and lose and bring whom the flows do, for every status.',
        }
    )
}}

with lines as (

    select
        snapshot_month,
        from_status as status,
        n_profiles as n_opening,
        0 as n_closing,
        case when to_status is null then n_profiles else 0 end as n_gone,
        0 as n_new,
        0 as n_restored
    from {{ ref('int_transitions') }}
    where {{ in_months_of_run() }} and from_status is not null

    union all

    select
        snapshot_month,
        to_status as status,
        0 as n_opening,
        n_profiles as n_closing,
        0 as n_gone,
        case when from_status is null and is_new then n_profiles else 0 end as n_new,
        case when from_status is null and not is_new then n_profiles else 0 end as n_restored
    from {{ ref('int_transitions') }}
    where {{ in_months_of_run() }} and to_status is not null

    union all

    select
        snapshot_month,
        status,
        case when movement = 'opening' then -n_profiles else 0 end as n_opening,
        case when movement = 'closing' then -n_profiles else 0 end as n_closing,
        case when movement in ('deleted', 'merged') then -n_profiles else 0 end as n_gone,
        case when movement = 'new' then -n_profiles else 0 end as n_new,
        case when movement = 'restored' then -n_profiles else 0 end as n_restored
    from {{ ref('flows_monthly') }}
    where {{ in_months_of_run() }} and scope = 'base'

)

select
    snapshot_month,
    status,
    sum(n_opening) as opening_difference,
    sum(n_closing) as closing_difference,
    sum(n_gone) as gone_difference,
    sum(n_new) as new_difference,
    sum(n_restored) as restored_difference
from lines
group by snapshot_month, status
having
    sum(n_opening) <> 0
    or sum(n_closing) <> 0
    or sum(n_gone) <> 0
    or sum(n_new) <> 0
    or sum(n_restored) <> 0
