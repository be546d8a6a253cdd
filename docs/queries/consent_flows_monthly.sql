-- How the opted-in became what they are: the last three months by channel.
select
    snapshot_month,
    channel,
    movement,
    sum(n_profiles) as n_profiles
from marts.consent_flows_monthly
where snapshot_month > (select max(snapshot_month) from marts.consent_flows_monthly) - interval '3' month
group by snapshot_month, channel, movement, movement_rank
order by snapshot_month, channel, movement_rank
