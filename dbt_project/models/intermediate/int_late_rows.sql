-- Grain: closed month × raw table × month in which the rows happened, another one: they were loaded after its grace.
{%- set months = months_of_run() %}

with loaded as (

    select
        'orders' as table_name,
        ordered_at as occurred_at,
        loaded_at
    from {{ ref('stg_orders') }}

    union all

    select
        'events' as table_name,
        occurred_at,
        loaded_at
    from {{ ref('stg_events') }}

    union all

    select
        'consents' as table_name,
        occurred_at,
        loaded_at
    from {{ ref('stg_consents') }}

    union all

    select
        'customers' as table_name,
        created_at as occurred_at,
        first_loaded_at as loaded_at
    from {{ ref('stg_customers') }}

    union all

    select
        'merges' as table_name,
        merged_at as occurred_at,
        loaded_at
    from {{ ref('stg_merges') }}

),

-- A late row counts in the month in which it was loaded: no other one is read.
dated as (

    select
        table_name,
        loaded_at,
        {{ local_date('occurred_at') }} as occurred_date,
        {{ late_date('loaded_at') }} as late_date
    from loaded
    where
        loaded_at >= {{ local_midnight(months.first) }}
        and loaded_at < {{ local_midnight(months.next) }}
        and loaded_at > timestamp '{{ history_loaded_until() }}'

),

known as (

    select
        table_name,
        {{ month_start(known_date('occurred_date', 'late_date', 'loaded_at')) }} as snapshot_month,
        {{ month_start('occurred_date') }} as happened_month
    from dated
    where occurred_date is not null

),

final as (

    select
        snapshot_month,
        table_name,
        happened_month,
        count(*) as n_rows,
        {{ definition_version() }} as definition_version
    from known
    where snapshot_month > happened_month
    group by snapshot_month, table_name, happened_month

)

select * from final
