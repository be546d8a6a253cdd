-- Grain: event, those of one month ($month).
with expected_events as (
    select
        exposure.*,
        ((m + 13) * 100000000 + n) * 4 + spell as spell_key,
        floor(expected * busyness * getvariable('event_rate') + u(spell_key, 'events'))::bigint as n_events,
        unnest(range(n_events)) as i
    from exposure inner join event_states using (state, is_mailed)
    where m = $month
),
moments as (
    select
        *,
        spell_key * 2000 + i as key,
        moment(key, from_at, to_at, month_end) as occurred_at
    from expected_events
),
happened as (
    select
        key, n, occurred_at, slots.channel,
        case
            when slots.channel <> 'email' or event_type = 'support_request' then event_type
            when is_dead_address then 'hard_bounce'
            -- A full mailbox bounces every send from then on: the streaks.
            when full_from < occurred_at then 'soft_bounce'
            else event_type
        end as event_type
    from moments
    inner join event_slots as slots
        on slots.state = moments.state and slots.is_mailed = (mailed_until > occurred_at)
        and slot = floor(u(key, 'what') * 1000)::bigint
)
select
    'E' || key as event_id,
    if(u(key, 'orphan') < getvariable('orphan_share'), 'X', '') || customer_key(n) as customer_id,
    occurred_at, event_type,
    nullif(channel, '') as channel,
    case
        when channel in ('email', 'post') and event_type <> 'support_request'
            then strftime(occurred_at, '%Y-%m-') || channel || '-' || (1 + floor(u(key, 'campaign') * 3))::int
    end as campaign_id,
    night_after(occurred_at, u(key, 'load')) as loaded_at
from happened
order by occurred_at, event_id
