-- Grain: month × source. Share of the source in the new profiles of twelve months. With one source there is nothing to spread.
with acquisition as (

    select * from {{ ref('acquisition_monthly') }}
    where {{ in_months_of_challenges() }} and source <> 'all'

),

shares as (

    select
        snapshot_month,
        as_of_date,
        definition_version,
        source,
        n_new_last_12m as n,
        sum(n_new_last_12m) over (partition by snapshot_month) as n_profiles,
        sum(case when n_new_last_12m > 0 then 1 else 0 end) over (partition by snapshot_month) as n_sources
    from acquisition
    where n_new_last_12m is not null

),

final as (

    select
        snapshot_month,
        as_of_date,
        'concentration' as rule,
        'concentration' as challenge_code,
        source,
        {{ share_measures('concentration') }},
        definition_version
    from shares
    where n_sources > 1

)

select * from final
