-- Grain: month × channel, for the whole base. Share of the base that cannot be contacted on a channel, or on none (`any`).
with optin_rates as (

    select * from {{ ref('optin_rate_monthly') }}
    where {{ in_months_of_challenges() }}

),

by_channel as (

    select
        snapshot_month,
        as_of_date,
        definition_version,
        channel,
        sum(n_profiles - n_contactable) as n,
        sum(n_profiles) as n_profiles
    from optin_rates
    group by snapshot_month, as_of_date, definition_version, channel

),

final as (

    select
        snapshot_month,
        as_of_date,
        'channel_not_contactable' as rule,
        'channel_not_contactable_' || channel as challenge_code,
        'all' as source,
        {{ share_measures('channel_not_contactable') }},
        definition_version
    from by_channel
    where n_profiles > 0

)

select * from final
