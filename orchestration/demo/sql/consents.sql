-- Grain: consent given or withdrawn. `refusal_share` of those who say no at registration leave a row that says so.
create table consents as
with stated as (
    select 0 as turn, *, created_at as stated_at, if(is_in, 'opt_in', 'opt_out') as status
    from choices
    where is_in or u(key, 'refusal') < getvariable('refusal_share')
    union all
    select 1, *, out_at, 'opt_out' from choices where out_at is not null
    union all
    select 2, *, in_again_at, 'opt_in' from choices where in_again_at is not null
)
select
    'K' || (key * 4 + turn) as consent_id,
    customer_key(n) as customer_id,
    channel, status,
    stated_at as occurred_at,
    case
        when not has_coordinate then null
        when channel = 'email' then if(stated_at < fields.changed_at, email_before(n, email), email)
        when channel = 'post' then postal_code
        else phone
    end as coordinate,
    case
        when status = 'opt_out' then null
        when channel = 'post' then 'legitimate_interest'
        when channel = 'phone' and u(key, 'basis') < 0.3 then 'contract'
        else 'consent'
    end as legal_basis,
    case
        when u(key * 4 + turn, 'proof') < p_proof
            then pick(['form', 'double-opt-in', 'signed-slip', 'call'], u(key, 'kind')) || ':' || (key * 4 + turn)
    end as proof,
    night_after(stated_at, u(key, 'load')) as loaded_at
from stated inner join fields using (n);
