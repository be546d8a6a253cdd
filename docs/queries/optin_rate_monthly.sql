-- Opt-in rate by source and channel, at the latest close.
select
    source,
    channel,
    sum(n_opted_in) as n_opted_in,
    round(100.0 * sum(n_opted_in) / sum(n_profiles), 1) as opted_in_percent
from marts.optin_rate_monthly
where snapshot_month = (select max(snapshot_month) from marts.optin_rate_monthly)
group by source, channel
order by source, channel
