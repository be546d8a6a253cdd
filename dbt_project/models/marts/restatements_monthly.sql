-- Grain: month × mart × cause: how many published values of the month were changed by closing it again.
{{ config(materialized='view') }}

with restatements as (

    select * from {{ ref('restatements') }}

)

select
    snapshot_month,
    max(as_of_date) as as_of_date,
    mart,
    cause,
    count(*) as n_changes,
    count(distinct restatement_id) as n_restatements,
    {{ local_date('max(restated_at)') }} as last_restated_date,
    {{ is_reconstructed() }} as is_reconstructed,
    max(definition_version) as definition_version
from restatements
group by snapshot_month, mart, cause
