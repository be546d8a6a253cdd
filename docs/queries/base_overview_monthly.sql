-- Is the bathtub filling up or draining away? The whole base, month by month.
select
    snapshot_month,
    n_profiles,
    n_profiles - n_profiles_prev_month as change,
    round(100.0 * n_profiles / nullif(n_profiles_prev_year, 0) - 100, 1) as growth_year_on_year_percent,
    n_new,
    round(100.0 * n_active / n_profiles, 1) as active_percent,
    round(100.0 * n_contactable_any / n_profiles, 1) as contactable_percent
from marts.base_overview_monthly
where source = 'all'
order by snapshot_month
