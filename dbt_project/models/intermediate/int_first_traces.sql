-- Grain: customer without a creation date who left a trace. Where every profile has its date, nothing is read.
{{ config(materialized='table') }}

with customers as (

    select * from {{ ref('stg_customers') }}

),

traces as (

    select * from {{ ref('int_traces') }}

),

final as (

    select
        traces.customer_id,
        min(traces.occurred_at) as first_trace_at
    from traces
    inner join customers on traces.customer_id = customers.customer_id
    where customers.created_at is null
    group by traces.customer_id

)

select * from final
