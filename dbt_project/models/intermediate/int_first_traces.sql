-- Grain: customer without a creation date who left a trace that became known in the months of the run or later. Older ones
-- are in the state carried from the month before. Where every profile has its date, nothing is read.
{{ config(materialized='once') }}

with customers as (

    select * from {{ ref('stg_customers') }}

),

traces as (

    {{ rows_known_from(ref('int_traces'), 'occurred_at', months_of_run().first) }}

),

final as (

    select
        traces.customer_id,
        {{ local_date('min(traces.occurred_at)') }} as first_trace_date
    from traces
    inner join customers on traces.customer_id = customers.customer_id
    where customers.created_at is null
    group by traces.customer_id

)

select * from final
