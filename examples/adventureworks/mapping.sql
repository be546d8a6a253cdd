-- AdventureWorks (Microsoft's sample, as CSV) → raw contract. Grain of the sales files: order line.
-- `data_dir` holds AdventureWorks_Customers.csv, AdventureWorks_Products.csv and AdventureWorks_Sales_<year>.csv.

create table profiles as
from read_csv(getvariable('data_dir') || '/AdventureWorks_Customers.csv', header = true, delim = ',', all_varchar = true);

create table products as
select
    ProductKey as product_key,
    ProductPrice::decimal(12, 4) as price,
    ProductCost::decimal(12, 4) as cost
from read_csv(getvariable('data_dir') || '/AdventureWorks_Products.csv', header = true, delim = ',', all_varchar = true);

create table lines as
select
    -- Two order numbers (SO62019, SO72019) are shared by two customers each. The customer is part of every id,
    -- so that an id never changes when a later file brings a second customer for its number.
    OrderNumber || '-' || CustomerKey as order_id,
    CustomerKey as customer_id,
    -- Month first, with and without leading zeros (`01/01/2017`, `9/30/2017`). A date without a time: midnight UTC.
    strptime(OrderDate, '%m/%d/%Y') as ordered_at,
    ProductKey as product_key,
    OrderQuantity::bigint as quantity
from read_csv(getvariable('data_dir') || '/AdventureWorks_Sales_*.csv', header = true, delim = ',', all_varchar = true);

create table orders as
select
    lines.order_id,
    lines.customer_id,
    lines.ordered_at,
    'completed' as status,
    -- With a product that is not in the list the amount is unknown, not smaller: null sends the order to quarantine.
    case when count(products.price) = count(*) then sum(lines.quantity * products.price) end::double as amount,
    'USD' as currency,
    sum(lines.quantity)::double as quantity,
    -- The files hold no discounts: what was paid is the list price.
    amount as list_amount,
    sum(lines.quantity * products.cost)::double as cost_amount
from lines
left join products using (product_key)
group by lines.order_id, lines.customer_id, lines.ordered_at
order by lines.ordered_at, lines.order_id;

-- No creation date: the first order stands for it, and the first month for the 737 profiles that never bought.
-- No source either: it counts as `unknown`.
create table customers as
select
    CustomerKey as customer_id,
    FirstName as first_name,
    LastName as last_name,
    strptime(BirthDate, '%m/%d/%Y')::date as birth_date,
    -- `NA` (130 profiles) means not known.
    nullif(Gender, 'NA') as gender,
    Occupation as job_title,
    EmailAddress as email,
    -- Yearly income rounded to 10,000 dollars, published as `$90,000 ` with a trailing space.
    trim(AnnualIncome) as income_band
from profiles
order by customer_id;
