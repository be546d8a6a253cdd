-- Who are they? Gender of the latest month, with the missing share and the mean age of those whose age is known.
select
    gender,
    sum(n_profiles) as n_profiles,
    round(100.0 * sum(n_profiles) / sum(sum(n_profiles)) over (), 1) as percent,
    round(1.0 * sum(sum_age_years) / nullif(sum(n_age_known), 0), 1) as mean_age
from marts.demographics_monthly
where snapshot_month = (select max(snapshot_month) from marts.demographics_monthly)
group by gender
order by n_profiles desc
