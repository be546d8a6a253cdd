-- Do we convert? Share of each cohort that has bought after so many months.
select
    cohort_month,
    months_since_registration,
    sum(n_registered) as n_registered,
    round(100.0 * sum(n_customers) / sum(n_registered), 1) as converted_percent
from marts.cohort_conversion_monthly
group by cohort_month, months_since_registration
order by cohort_month, months_since_registration
