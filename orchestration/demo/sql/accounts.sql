-- The small business-to-business part: companies, their contracts, and who decides in them.
create table accounts as
select
    format('A{:05d}', r.account) as account_id,
    pick(['Ateliers', 'Transports', 'Hôtel', 'Groupe', 'Maison', 'Laboratoire'], u(r.account, 'kind'))
    || ' ' || pick(getvariable('names'), u(r.account, 'named')) as name,
    pick(['Industrie', 'Transport', 'Hôtellerie', 'Services', 'Commerce', 'Santé'], u(r.account, 'kind')) as industry,
    least(
        plus_days(getvariable('first_day'), -900 + 1500 * u(r.account, 'opened')),
        getvariable('cut_at') - interval 2 days
    ) as created_at,
    night_after(created_at, u(r.account, 'load')) as loaded_at
from range(1, getvariable('n_accounts') + 1) as r (account);

create table contracts as
select
    format('K-{}-{}', account_id, i) as contract_id,
    account_id, null::varchar as customer_id,
    pick(['Maintenance', 'Abonnement', 'Approvisionnement'], u(key, 'product')) as product,
    least(plus_days(created_at, 20 + 700 * i * u(key, 'starts')), getvariable('cut_at') - interval 1 day) as started_at,
    if(u(key, 'open ended') < 0.2, null, started_at + to_years(1 + floor(u(key, 'term') * 3)::int)) as ends_at,
    case
        when ends_at < getvariable('end_at') then 'ended'
        when u(key, 'cancelled') < 0.1 then 'cancelled'
        else 'active'
    end as status,
    round(150 + 3000 * pow(u(key, 'recurring'), 2), 2) as recurring_amount,
    night_after(started_at, u(key, 'load')) as loaded_at
from (select *, unnest([1, 2]) as i, substr(account_id, 2)::bigint * 10 + i as key from accounts)
where i = 1 or u(key, 'second contract') < 0.4;

create table account_contacts as
select
    format('A{:05d}', account) as account_id,
    customer_key(n) as customer_id,
    pick(['buyer', 'user', 'influencer', 'decision_maker', 'user'], (u(n, 'role') + 0.2 * i) % 1) as role,
    night_after(created_at, u(n, 'load')) as loaded_at
from (select *, unnest([0, 1]) as i from lives where account is not null)
where i = 0 or u(n, 'two roles') < 0.3;
