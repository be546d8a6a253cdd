-- The tables of parameters: change a figure here and the base tells another story.

-- A draw in [0, 1) that depends on the row, on what is drawn and on the seed alone: no order, no thread changes it.
create macro u(key, salt) as (hash(key::bigint, salt, getvariable('seed')::bigint) >> 11) / 9007199254740992.0;
create macro pick(list, draw) as list[1 + floor(draw * len(list))::bigint];
create macro waiting_days(draw, mean_days) as -ln(1 - draw) * mean_days;
create macro plus_days(instant, days) as instant + to_seconds(floor(days * 86400)::bigint);
create macro daytime(instant, draw) as date_trunc('day', instant) + to_seconds(21600 + floor(draw * 57600)::bigint);
-- Loads run the night after, between 2:00 and 4:00.
create macro night_after(instant, draw) as
    date_trunc('day', instant) + interval 26 hours + to_seconds(floor(draw * 7200)::bigint);
create macro days_to_end(instant) as date_diff('day', instant, getvariable('end_at'));
-- The instant, where the condition holds and it comes before the profile's end and the base's.
create macro while_here(condition, instant, ends_at) as
    if(condition and instant < least(ends_at, getvariable('end_at')), instant, null);
create macro customer_key(n) as format('C{:07d}', n);
-- A field as people fill it in: the value, a placeholder, or nothing.
create macro filled(n, salt, share, value, junk_share) as case
    when u(n, salt) < share then value
    when u(n, salt) < share + (1 - share) * junk_share
        then pick(['n/a', 'xxx', 'inconnu', 'N/A', '-', 'Unknown', ' '], u(n, salt || ' junk'))
end;

-- How large a source is, how it grows over the months, how many of its profiles buy, how long they stay engaged.
create table source_courses as
from (values
    -- source        size  from to   buys  days spelled as
    ('till',         0.30, 1.1, 0.9, 0.80, 620, ['till', 'till', 'till', 'till', 'till', 'TILL']),
    ('web',          0.25, 1.0, 1.0, 0.66, 520, ['web', 'web', 'web', 'web', 'web', ' Web ', 'WEB']),
    ('app',          0.08, 0.4, 3.0, 0.60, 560, ['app']),
    ('partner_file', 0.17, 1.2, 1.1, 0.24, 200, ['partner_file', 'partner_file', 'partner_file', 'Partner_File ']),
    ('call_center',  0.11, 2.0, 0.1, 0.62, 480, ['call_center', 'call_center', 'Call_Center']),
    ('event',        0.06, 0.8, 1.2, 0.40, 320, ['event']),
    ('unknown',      0.03, 1.0, 0.6, 0.50, 380, [' ', null, null])
) as t (source, size, trend_from, trend_to, p_buys, engaged_days, labels);

-- How well each field is filled in, how often a missing one holds a placeholder, how many addresses are dead.
create table source_fills as
from (values
    -- source        name  mail  phone addr  sex   birth job   inco  inter media junk  dead
    ('till',         0.95, 0.42, 0.82, 0.45, 0.82, 0.55, 0.08, 0.06, 0.20, 0.10, 0.02, 0.03),
    ('web',          0.98, 0.98, 0.52, 0.60, 0.74, 0.60, 0.15, 0.10, 0.45, 0.25, 0.01, 0.02),
    ('app',          0.97, 0.99, 0.70, 0.00, 0.66, 0.72, 0.05, 0.04, 0.70, 0.45, 0.01, 0.01),
    ('partner_file', 0.80, 0.74, 0.30, 0.34, 0.60, 0.40, 0.10, 0.22, 0.08, 0.04, 0.30, 0.16),
    ('call_center',  0.96, 0.50, 0.97, 0.66, 0.85, 0.35, 0.12, 0.08, 0.15, 0.08, 0.03, 0.05),
    ('event',        0.93, 0.86, 0.44, 0.15, 0.70, 0.25, 0.45, 0.05, 0.50, 0.30, 0.05, 0.06),
    ('unknown',      0.80, 0.60, 0.50, 0.40, 0.62, 0.30, 0.05, 0.05, 0.10, 0.05, 0.10, 0.08)
) as t (
    source, p_name, p_email, p_phone, p_address, p_gender, p_birth, p_job, p_income, p_interests, p_media, p_junk,
    p_dead_email
);

-- How many opt in per channel, and how often the proof is on file.
create table source_optins as
from (values
    -- source        email sms   phone post  proof
    ('till',         0.62, 0.55, 0.20, 0.40, 0.80),
    ('web',          0.66, 0.30, 0.10, 0.15, 0.97),
    ('app',          0.80, 0.50, 0.08, 0.00, 0.99),
    ('partner_file', 0.22, 0.06, 0.04, 0.10, 0.35),
    ('call_center',  0.40, 0.35, 0.50, 0.30, 0.70),
    ('event',        0.58, 0.20, 0.12, 0.05, 0.75),
    ('unknown',      0.40, 0.15, 0.10, 0.10, 0.40)
) as t (source, in_email, in_sms, in_phone, in_post, p_proof);

create view sources as
from source_courses inner join source_fills using (source) inner join source_optins using (source);

-- Weak August to October, strong June and November to January.
set variable seasons = [1.40, 0.95, 1.00, 1.00, 1.05, 1.55, 0.95, 0.50, 0.60, 0.55, 1.40, 1.50];

-- Months of activity: a year before the first month of the base, so that its opening has a past.
create table months as
select
    m,
    getvariable('first_day') + to_months(m) as month_start,
    getvariable('first_day') + to_months(m + 1) as month_end,
    pick(getvariable('seasons'), (month(month_start) - 0.5) / 12) as season
from range(-12, getvariable('months')) as r (m);

-- What happens to a profile in a month, relative weights; the total of a state is how busy it is.
create table event_mix as
from (values
    ('engaged', true, 'site_visit', null, 26), ('engaged', true, 'store_visit', null, 10),
    ('engaged', true, 'campaign_sent', 'email', 28), ('engaged', true, 'campaign_open', 'email', 16),
    ('engaged', true, 'campaign_click', 'email', 8), ('engaged', true, 'support_request', 'phone', 2),
    ('engaged', true, 'support_request', 'email', 1.5), ('engaged', true, 'sign_up', null, 1),
    ('engaged', true, 'soft_bounce', 'email', 1), ('engaged', true, 'complaint', 'email', 0.08),
    ('engaged', false, 'site_visit', null, 16), ('engaged', false, 'store_visit', null, 16),
    ('engaged', false, 'support_request', 'phone', 3), ('engaged', false, 'sign_up', null, 0.6),
    ('engaged', false, 'campaign_sent', 'post', 4), ('engaged', false, 'undeliverable', 'post', 0.05),
    ('engaged', false, 'undeliverable', 'phone', 0.05),
    ('dormant', true, 'campaign_sent', 'email', 20), ('dormant', true, 'campaign_open', 'email', 3),
    ('dormant', true, 'soft_bounce', 'email', 1), ('dormant', true, 'complaint', 'email', 0.12),
    ('dormant', false, 'campaign_sent', 'post', 2), ('dormant', false, 'undeliverable', 'post', 0.06),
    ('dormant', false, 'undeliverable', 'phone', 0.03)
) as t (state, is_mailed, event_type, channel, weight);

create table event_states as
select state, is_mailed, sum(weight)::double as busyness from event_mix group by all;

-- A thousand slots per state, so that a draw finds its event by equality.
create table event_slots as
with bounds as (
    select
        *,
        sum(weight) over (partition by state, is_mailed order by event_type, channel)
        / sum(weight) over (partition by state, is_mailed) as upper_bound
    from event_mix
)
select
    state, is_mailed, slot,
    arg_min(event_type, upper_bound) as event_type, arg_min(coalesce(channel, ''), upper_bound) as channel
from bounds inner join range(1000) as s (slot) on slot < round(upper_bound * 1000)
group by all;

create table places as
select * exclude (copy), row_number() over (order by country, city, copy) - 1 as place from (values
    ('FR', 'Paris', ['75001', '75008', '75011', '75015', '75018', '75020'], 6),
    ('FR', 'Marseille', ['13001', '13005', '13008', '13012'], 4),
    ('FR', 'Lyon', ['69002', '69003', '69006', '69007'], 4),
    ('FR', 'Toulouse', ['31000', '31200', '31500'], 3), ('FR', 'Nice', ['06000', '06100', '06200'], 3),
    ('FR', 'Nantes', ['44000', '44300'], 3), ('FR', 'Lille', ['59000', '59800'], 3),
    ('FR', 'Bordeaux', ['33000', '33800'], 3),
    ('FR', 'Rennes', ['35000', '35700'], 2), ('FR', 'Strasbourg', ['67000', '67200'], 2),
    ('FR', 'Montpellier', ['34000', '34070'], 2),
    ('FR', 'Dijon', ['21000'], 1), ('FR', 'Bourg-en-Bresse', ['01000'], 1), ('FR', 'Ajaccio', ['20000', '20090'], 1),
    ('FR', 'Saint-Denis', ['97400'], 1), ('FR', 'Clermont-Ferrand', ['63000', '63100'], 1),
    ('BE', 'Bruxelles', ['1000', '1050', '1180'], 1), ('CH', 'Genève', ['1201', '1205'], 1),
    ('GB', 'London', ['SW1A 2AA', 'EC1A 1BB', 'W1A 1HQ'], 1), ('US', 'New York', ['10001', '10011', '10027-4415'], 1)
) as t (country, city, postal_codes, weight), range(weight) as r (copy);

-- National and international ways to write the numbers of a country; each # becomes a digit.
set variable phone_forms = map {
    'FR': ['06 ## ## ## ##', '07 5# ## ## ##', '06########', '+336########', '0033 6 ## ## ## ##',
           '06.##.##.##.##', '01 4# ## ## ##', '04########'],
    'BE': ['+32 47# ## ## ##', '+32 2 5## ## ##'], 'CH': ['+41 79 ### ## ##', '+41 22 3## ## ##'],
    'GB': ['+44 7911 ######', '+44 20 7946 0###'], 'US': ['+1 212 555 01##', '+1 646 555 01##']
};

set variable women = ['Marie', 'Camille', 'Léa', 'Chloé', 'Inès', 'Nathalie', 'Sophie', 'Fatima',
    'Anne-Laure', 'Élodie', 'Julie', 'Manon', 'Sarah', 'Zoé', 'Françoise'];
set variable men = ['Jean', 'Lucas', 'Hugo', 'Mehdi', 'Nicolas', 'Pierre', 'François',
    'Jérôme', 'Thomas', 'Yanis', 'Loïc', 'Philippe', 'Antoine', 'Jean-Marc', 'Karim'];
set variable names = ['Martin', 'Bernard', 'Dubois', 'Robert', 'Petit', 'Durand', 'Leroy', 'Moreau', 'Lefèvre',
    'Garcia', 'Fontaine', 'Rousseau', 'Benali', 'Nguyen', 'D''Almeida', 'Le Goff', 'Muller',
    'Traoré', 'Peeters', 'Rochat', 'Smith', 'de La Tour'];
set variable streets = ['rue de la République', 'avenue Victor-Hugo', 'rue des Lilas', 'boulevard Voltaire',
    'place du Marché', 'chemin des Vignes', 'rue Pasteur', 'quai de la Gare bât. B'];
-- Reserved domains: no address of the demo belongs to anybody.
set variable mail_domains = ['courriel.example.com', 'poste.example.net', 'boite.example.org', 'mail.example.com'];
set variable jobs = ['Enseignante', 'Infirmier', 'Ingénieure', 'Comptable', 'Artisan', 'Retraité',
    'Étudiante', 'Vendeur'];
set variable company_jobs = ['Directrice des achats', 'Acheteur', 'DSI', 'Responsable logistique', 'Gérant'];
set variable income_bands = ['<20k', '20-40k', '40-60k', '60k+'];
set variable interests = ['jardin', 'sport;voyages', 'cuisine', 'maison;jardin', 'mode', 'musique'];
set variable media = ['presse', 'radio', 'réseaux sociaux', 'télévision'];
