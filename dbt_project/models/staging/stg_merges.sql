-- Grain: merged profile.
with merged as (

    select * from {{ source('raw', 'merges') }}

),

final as (

    select
        merged_customer_id,
        customer_id as survivor_customer_id,
        merged_at,
        loaded_at
    from merged

)

select * from final
