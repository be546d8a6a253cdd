-- Grain: customer whose coordinates were not judged yet as they are written now. On other engines than DuckDB: every customer.
-- There a table, because every channel reads it: to compare ten million profiles once is work enough.
{{ config(materialized='table' if target.type == 'duckdb' else 'view') }}

with written as (

    select * from {{ ref('int_written_coordinates') }}

),

final as (

    select written.*
    from written
    {% if judged_coordinates() -%}
        left join {{ judged_coordinates() }} as judged
            on written.customer_id = judged.customer_id and written.written_hash = judged.written_hash
        where judged.customer_id is null
    {%- endif %}

)

select * from final
