-- Online Retail (UCI, doi 10.24432/C5BW33) → raw contract. Grain of the files: invoice line.
-- `data_dir` holds CSV files with UCI's eight columns, one in all or one a day.

create table lines as
select
    InvoiceNo as order_id,
    -- Customer ids were stored as decimals: `17850.0` is customer 17850. No id stays null.
    regexp_replace(CustomerID, '\.0$', '') as customer_id,
    -- No zone is stated and the shop is British: London local time, stored as UTC.
    InvoiceDate::timestamp at time zone 'Europe/London' at time zone 'UTC' as invoiced_at,
    Country as country_name,
    Quantity::bigint as quantity,
    UnitPrice::decimal(12, 4) as unit_price
from read_csv(getvariable('data_dir') || '/**/*.csv', header = true, delim = ',', quote = '"', all_varchar = true);

-- One order per invoice. An invoice has one customer and one country. 43 invoices were keyed across two minutes: the first
-- one counts. Lines that are equal in every column stay as published: there is no line number to tell a double
-- export from the same article keyed twice.
create table invoices as
select
    order_id,
    min(customer_id) as customer_id,
    min(country_name) as country_name,
    min(invoiced_at) as ordered_at,
    sum(quantity * unit_price) as amount,
    sum(quantity) as quantity
from lines
group by order_id;

-- Invoices without a customer are delivered too: the ingest puts them in quarantine, where they are counted.
create table orders as
select
    order_id,
    customer_id,
    ordered_at,
    -- UCI: a number that starts with C is a cancellation; its quantities and amount are negative.
    case when order_id ilike 'c%' then 'cancelled' else 'completed' end as status,
    amount::double as amount,
    'GBP' as currency,
    quantity::double as quantity
from invoices
order by ordered_at, order_id;

-- One profile per customer id. There is no creation date: the first invoice stands for it.
create table customers as
with iso_countries(country_name, country) as (
    -- No alpha-2 code, so null: Channel Islands (two codes), European Community, Unspecified.
    values
    ('Australia', 'AU'), ('Austria', 'AT'), ('Bahrain', 'BH'), ('Belgium', 'BE'), ('Brazil', 'BR'), ('Canada', 'CA'),
    ('Cyprus', 'CY'), ('Czech Republic', 'CZ'), ('Denmark', 'DK'), ('EIRE', 'IE'), ('Finland', 'FI'), ('France', 'FR'),
    ('Germany', 'DE'), ('Greece', 'GR'), ('Hong Kong', 'HK'), ('Iceland', 'IS'), ('Israel', 'IL'), ('Italy', 'IT'),
    ('Japan', 'JP'), ('Lebanon', 'LB'), ('Lithuania', 'LT'), ('Malta', 'MT'), ('Netherlands', 'NL'), ('Norway', 'NO'),
    ('Poland', 'PL'), ('Portugal', 'PT'), ('RSA', 'ZA'), ('Saudi Arabia', 'SA'), ('Singapore', 'SG'), ('Spain', 'ES'),
    ('Sweden', 'SE'), ('Switzerland', 'CH'), ('United Arab Emirates', 'AE'), ('United Kingdom', 'GB'), ('USA', 'US')
),

-- Eight customers have two countries: the one with most invoices, the earlier one on a tie.
main_countries as (
    select customer_id, country_name
    from invoices
    where customer_id is not null
    group by customer_id, country_name
    qualify row_number() over (partition by customer_id order by count(*) desc, min(ordered_at), country_name) = 1
)

select
    main_countries.customer_id,
    'web' as source,
    iso_countries.country
from main_countries
left join iso_countries using (country_name)
order by customer_id;
