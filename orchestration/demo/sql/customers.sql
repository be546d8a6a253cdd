-- Grain: profile. What its fields hold now; `late` ones were not filled in before the profile's change.
create table fields as
with drawn as (
    select
        lives.*, sources.* exclude (source),
        case when u(n, 'sex') < 0.535 then 'F' when u(n, 'sex') < 0.995 then 'M' else 'X' end as sex,
        pick(if(sex = 'F', getvariable('women'), getvariable('men')), u(n, 'first')) as given_name,
        pick(getvariable('names'), u(n, 'last')) as family_name,
        place.country, place.city, place.postal_codes,
        pick(getvariable('phone_forms')[country], u(n, 'phone form')) as phone_form,
        regexp_replace(lower(strip_accents(given_name || '.' || family_name)), '[^a-z.]', '', 'g') as mailbox
    from lives
    inner join sources on sources.source = lives.source
    inner join places as place on place.place = floor(u(n, 'place') * (select count(*) from places))::bigint
)
select
    n, created_at, deleted_at, changed_at, account,
    pick(labels, u(n, 'label')) as source,
    filled(n, 'name', p_name, given_name, p_junk) as first_name,
    if(u(n, 'capitals') < 0.2, upper(family_name), family_name) as family,
    filled(n, 'family', least(p_name + 0.05, 1), family, p_junk) as last_name,
    case
        when u(n, 'odd birth') < 0.003 then pick(['0967-03-12', '2090-05-01', '31/02/1980'], u(n, 'odd birth') / 0.003)
        when u(n, 'birth') < p_birth then (date '1938-01-01' + floor(25500 * pow(u(n, 'age'), 0.75))::int)::varchar
        when u(n, 'birth') < p_birth + (1 - p_birth) * p_junk then '1900-01-01'
    end as birth_date,
    if(u(n, 'gender') < p_gender, sex, null) as gender,
    if(
        account is null,
        filled(n, 'job', p_job, pick(getvariable('jobs'), u(n, 'job title')), p_junk),
        pick(getvariable('company_jobs'), u(n, 'job title'))
    ) as job_title,
    case
        when u(n, 'email') < p_email then
            case floor(u(n, 'odd email') * 250)::int
                when 0 then mailbox
                when 1 then mailbox || '@'
                when 2 then mailbox || ' @courriel.example.com'
                when 3 then mailbox || '@courriel..example.com'
                when 4 then mailbox || '@mailinator.com'
                when 5 then 'noreply@example.com'
                else mailbox || n || '@' || pick(getvariable('mail_domains'), u(n, 'domain'))
            end
        when u(n, 'email') < p_email + (1 - p_email) * p_junk
            then pick(['noreply@example.com', 'n/a', 'inconnu@example.com', 'xxx'], u(n, 'junk email'))
    end as email,
    -- The digits of the number replace the # of its form, one after the other.
    range(10).list_transform(lambda i: (floor(u(n, 'digits') * pow(10, i + 1)) % 10)::bigint::varchar) as digits,
    list_reduce(list_prepend(phone_form, digits), lambda form, digit: regexp_replace(form, '#', digit)) as number,
    filled(n, 'phone', p_phone, number, p_junk) as phone,
    (1 + floor(120 * u(n, 'door')))::int || ' ' || pick(getvariable('streets'), u(n, 'street')) as door,
    filled(n, 'address', p_address, door, p_junk) as address_line,
    pick(postal_codes, u(n, 'postal')) as code,
    -- A spreadsheet on the partner's way dropped the leading zero.
    filled(n, 'address', p_address, if(drawn.source = 'partner_file', ltrim(code, '0'), code), 0) as postal_code,
    filled(n, 'address', p_address, city, 0) as city,
    country,
    filled(n, 'income', p_income, pick(getvariable('income_bands'), u(n, 'income band')), p_junk) as income_band,
    filled(n, 'interests', p_interests, pick(getvariable('interests'), u(n, 'interest')), p_junk) as interests,
    filled(n, 'media', p_media, pick(getvariable('media'), u(n, 'medium')), p_junk) as media
from drawn;

-- An address given before the profile's change.
create macro email_before(n, email) as
    if(u(n, 'moves mailbox') < 0.3 and contains(email, '@'), 'ancien.' || email, email);

-- Grain: profile × state that a feed delivers: registered, changed, deleted. The export at the cut holds the last one.
create table customers as
with states as (
    select n, created_at as changed_on from fields
    union all
    select n, changed_at from fields where changed_at is not null
    union all
    select n, deleted_at from fields where deleted_at is not null
),
delivered as (
    select *
    from states
    qualify changed_on >= getvariable('cut_at')
        or changed_on = max(changed_on) filter (where changed_on < getvariable('cut_at')) over (partition by n)
)
select
    customer_key(n) as customer_id,
    if(u(n, 'no start') < 0.003, null, created_at) as created_at,
    changed_on as updated_at,
    if(changed_on >= deleted_at, deleted_at, null) as deleted_at,
    night_after(changed_on, u(n, 'load')) as loaded_at,
    source, first_name, last_name, birth_date,
    if(changed_on < changed_at and u(n, 'gender later') < 0.5, null, gender) as gender,
    job_title,
    if(changed_on < changed_at, email_before(n, email), email) as email,
    if(changed_on < changed_at and u(n, 'phone later') < 0.3, null, phone) as phone,
    address_line, postal_code, city, country, income_band, interests, media,
    format('A{:05d}', account) as account_id
from delivered inner join fields using (n);
