-- From the base to those who can be contacted, by channel, at the latest close.
select
    channel,
    sum(n_profiles) as base,
    sum(n_no_coordinate) as no_coordinate,
    sum(n_invalid) as invalid,
    sum(n_bounced) as bounced,
    sum(n_untested) as untested,
    sum(n_no_optin) as no_optin,
    sum(n_optin_other_coordinate) as optin_other_coordinate,
    sum(n_contactable) as contactable,
    round(100.0 * sum(n_opted_in) / sum(n_profiles), 1) as opted_in_percent,
    round(100.0 * sum(n_optin_with_proof) / nullif(sum(n_opted_in), 0), 1) as proof_percent
from marts.optin_rate_monthly
where snapshot_month = (select max(snapshot_month) from marts.optin_rate_monthly)
group by channel
order by channel
