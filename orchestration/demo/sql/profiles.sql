-- Grain: profile. Who is in the base, since when, and the course of each one's life in it.

-- The existing base (no month), then one cell per source and month of acquisition.
create table cells as
with weighted as (
    select source, null::timestamp as month_start, 0.55 * size / sum(size) over () as weight
    from sources
    union all
    select source, month_start, 0.45 * drive / sum(drive) over ()
    from (
        select
            source, month_start,
            size * season * (trend_from + (trend_to - trend_from) * m / greatest(getvariable('months') - 1, 1))
            * if(month_end > getvariable('turn_at'), 0.6, 1.0) as drive
        from sources cross join months
        where m >= 0
    )
)
select
    source, month_start,
    sum(weight) over (order by month_start nulls first, source rows unbounded preceding) - weight as lower_bound
from weighted;

create table lives as
with placed as (
    select n, u(n, 'cell') + 1e-9 as draw from range(1, getvariable('profiles') + 1) as r (n)
),
registered as (
    select
        n, sources.source, p_buys, engaged_days,
        daytime(
            if(
                month_start is null,
                plus_days(getvariable('first_day'), -1 - 2200 * pow(u(n, 'day'), 1.2)),
                plus_days(month_start, u(n, 'day') * date_diff('day', month_start, month_start + interval 1 month))
            ),
            u(n, 'time of day')
        ) as created_at
    from placed asof inner join cells on draw >= lower_bound
    inner join sources on sources.source = cells.source
),
-- Many who would have stayed lose interest a year and more before the end: they lapse during the last half-year.
engaged as (
    select
        *,
        plus_days(created_at, 1 + waiting_days(u(n, 'engaged'), engaged_days)) as natural_end,
        plus_days(getvariable('turn_at') - interval 12 months, 180 * u(n, 'fatigue day')) as fatigue_at
    from registered
),
settled as (
    select
        *,
        case
            when u(n, 'fatigue') < 0.35 and fatigue_at > created_at then least(natural_end, fatigue_at)
            else natural_end
        end as engaged_until,
        plus_days(engaged_until, 380 + 300 * u(n, 'return')) as maybe_back_at,
        if(u(n, 'buys at once') < 0.5, u(n, 'lag') / 24, 10 + waiting_days(u(n, 'lag'), 110)) as days_to_order,
        greatest(created_at, getvariable('first_day')) as present_from,
        getvariable('turn_at') as turn_at
    from engaged
),
-- Deletions all along, a purge of the long inactive in the last half-year, and a few gone within days.
gone as (
    select
        *,
        case
            when u(n, 'transient') < 0.008 and created_at >= getvariable('first_day')
                then least(plus_days(created_at, 0.1 + 5 * u(n, 'gone')), last_day(created_at) + interval 86390 seconds)
            when u(n, 'purge') < 0.28 and engaged_until < getvariable('end_at') - interval 36 months
                then plus_days(turn_at, days_to_end(turn_at) * u(n, 'gone'))
            when u(n, 'deleted') < 0.06
                then plus_days(present_from, days_to_end(present_from) * pow(u(n, 'gone'), 0.6))
        end as maybe_deleted_at
    from settled
)
select
    n, source, created_at, engaged_until,
    while_here(maybe_deleted_at > created_at, maybe_deleted_at, null) as deleted_at,
    -- A few go on for weeks after their deletion: feeds that did not hear of it.
    least(if(u(n, 'ghost') < 0.05, plus_days(deleted_at, 40), deleted_at), getvariable('end_at')) as traces_until,
    while_here(u(n, 'back') < 0.30, maybe_back_at, deleted_at) as back_at,
    plus_days(back_at, 20 + 240 * u(n, 'back for')) as back_until,
    while_here(u(n, 'buys') < p_buys, plus_days(created_at, days_to_order), least(engaged_until, deleted_at))
        as first_order_at,
    while_here(u(n, 'change') < 0.25, plus_days(created_at, 5 + waiting_days(u(n, 'change day'), 400)), deleted_at)
        as changed_at,
    0.1 + 2.7 * pow(u(n, 'busy'), 2) as busy,
    case
        when u(n, 'company') < getvariable('company_share')
            then 1 + floor(u(n, 'which company') * getvariable('n_accounts'))::bigint
    end as account
from gone;

-- Channels: the choice at registration, the change of mind, the way back. The web's forms convince less since the turn.
create table choices as
with asked as (
    select
        lives.*, c.channel, p_email, p_phone, p_address, p_proof, n * 4 + c.rank as key,
        c.share * if(lives.source = 'web' and created_at >= getvariable('turn_at'), 0.35, 1.0) as share,
        lives.source = 'web' and u(key, 'web leaves') < 0.30 as leaves_with_web,
        u(n, c.field) < c.p_field as has_coordinate
    from lives inner join sources on sources.source = lives.source
    cross join lateral (
        values (0, 'email', in_email, 'email', p_email), (1, 'sms', in_sms, 'phone', p_phone),
        (2, 'phone', in_phone, 'phone', p_phone), (3, 'post', in_post, 'address', p_address)
    ) as c (rank, channel, share, field, p_field)
),
chosen as (
    select
        *,
        u(key, 'in') < if(has_coordinate, share, 0.03) as is_in,
        case
            when not is_in then null
            when u(key, 'same instant') < 0.003 then created_at
            when leaves_with_web
                then plus_days(greatest(created_at, getvariable('turn_at')), 1 + 170 * u(key, 'out day'))
            when u(key, 'out') < 0.22 then plus_days(created_at, waiting_days(u(key, 'out day'), 500))
        end as maybe_out_at
    from asked
)
select
    n, key, channel, source, created_at, changed_at, is_in, has_coordinate, p_proof,
    while_here(true, maybe_out_at, deleted_at) as out_at,
    while_here(u(key, 'in again') < 0.18, plus_days(out_at, 20 + 300 * u(key, 'in again day')), deleted_at)
        as in_again_at
from chosen;

-- Grain: profile × stretch of its life, engaged or dormant. Orders and events are drawn from it, month by month.
create table spells as
select
    lives.n, spell, state, from_at, least(to_at, traces_until, getvariable('end_at')) as to_at,
    first_order_at, busy, account,
    u(lives.n, 'dead address') < p_dead_email as is_dead_address,
    if(u(lives.n, 'full') < 0.03, plus_days(created_at, 600 * u(lives.n, 'full from')), null) as full_from,
    case
        when not (is_in and has_coordinate) then created_at
        -- Sends stop soon after the address bounced.
        when is_dead_address then least(plus_days(created_at, 90), out_at)
        else coalesce(out_at, getvariable('end_at'))
    end as mailed_until
from lives
inner join sources on sources.source = lives.source
inner join (select n, is_in, has_coordinate, out_at from choices where channel = 'email') as mail
    on mail.n = lives.n
cross join lateral (
    values (0, 'engaged', lives.created_at, engaged_until),
    (1, 'dormant', engaged_until, coalesce(back_at, getvariable('end_at'))),
    (2, 'engaged', back_at, back_until), (3, 'dormant', back_until, getvariable('end_at'))
) as s (spell, state, from_at, to_at)
where from_at < least(to_at, traces_until, getvariable('end_at'));

-- Grain: spell × month, with what is expected of it.
create view exposure as
select
    spells.* exclude (from_at, to_at), m, month_end,
    greatest(month_start, spells.from_at) as from_at, least(month_end, spells.to_at) as to_at,
    mailed_until > greatest(month_start, spells.from_at) as is_mailed,
    busy * season * date_diff('second', greatest(month_start, spells.from_at), least(month_end, spells.to_at))
    / 2592000 as expected
from months inner join spells on spells.from_at < month_end and spells.to_at > month_start;

-- A moment by day; now and then late on the last evening of the month, or exactly at the next local month's midnight.
create macro moment(key, from_at, to_at, month_end) as least(
    to_at - interval 1 second,
    greatest(
        from_at,
        case
            when u(key, 'edge') < 0.0005 then (month_end at time zone 'Europe/Paris') at time zone 'UTC'
            when u(key, 'edge') < 0.0050 then month_end - to_seconds(1 + floor(u(key, 'evening') * 9000)::bigint)
            else daytime(from_at + (to_at - from_at) * u(key, 'when'), u(key, 'time of day'))
        end
    )
);
