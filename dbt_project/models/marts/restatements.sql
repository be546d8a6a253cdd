-- Grain: restatement × month × mart × segment × measure: a published value that closing the month again changed.
-- The orchestrator writes the log after each close, in ops: what it says of a month stays when the month is closed once more.
{{ config(materialized='view') }}

{%- set columns = {
    'restatement_id': dbt.type_string(), 'restated_at': dbt.type_timestamp(), 'snapshot_month': 'date', 'as_of_date': 'date',
    'mart': dbt.type_string(), 'segment': dbt.type_string(), 'measure': dbt.type_string(), 'published_value': type_double(),
    'restated_value': type_double(), 'cause': dbt.type_string(), 'run_id': dbt.type_string(),
    'definition_version': dbt.type_string(),
} %}

with logged as (

    {{ ops_rows('restatements', columns) }}

)

select
    restatement_id,
    restated_at,
    snapshot_month,
    as_of_date,
    mart,
    segment,
    measure,
    published_value,
    restated_value,
    cause,
    run_id,
    {{ is_reconstructed() }} as is_reconstructed,
    definition_version
from logged
