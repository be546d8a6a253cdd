-- When do we recruit well? Each month against last year, its rank in the rolling year, and the season.
select
    snapshot_month,
    n_new,
    n_new_prev_year,
    n_new_last_12m,
    rank_in_last_12m,
    round(cast(seasonality_index as decimal(18, 6)), 2) as seasonality_index
from marts.acquisition_monthly
where source = 'all'
order by snapshot_month
