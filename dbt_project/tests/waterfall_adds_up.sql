-- Why: a profile that is counted twice, or at no stage, makes the funnel lie.
-- Returns rows when a part of the waterfall is missing or too many.
{{
    config(
        meta={
            'dagster': {'ref': {'name': 'optin_rate_monthly'}},
            'description': 'No coordinate + invalid + bounced + untested + no opt-in + opt-in for another coordinate + contactable = the base; reachable = the last three.',
        }
    )
}}

select
    snapshot_month,
    source,
    status,
    registered_within_12m,
    channel
from {{ ref('optin_rate_monthly') }}
where
    {{ in_months_of_run() }}
    and (
        n_no_coordinate + n_invalid + n_bounced + n_untested + n_no_optin + n_optin_other_coordinate + n_contactable
        <> n_profiles
        or n_filled <> n_profiles - n_no_coordinate
        or n_reachable <> n_no_optin + n_optin_other_coordinate + n_contactable
        or n_contactable + n_optin_other_coordinate + n_optin_no_coordinate > n_opted_in
        or n_optin_with_proof > n_opted_in
    )
