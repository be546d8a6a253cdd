-- Why: nothing is lost silently between the files and the models.
-- Returns rows when a table does not reconcile.
-- depends_on: {{ ref('stg_customers') }}
{{
    config(
        meta={
            'dagster': {'ref': {'name': 'stg_customers'}},
            'description': 'Rows read = rows kept + quarantined + superseded, for each raw table.',
        }
    )
}}

select
    table_name,
    rows_read,
    rows_kept,
    rows_quarantined,
    rows_superseded
from {{ source('ops', 'ingested_tables') }}
where rows_read <> rows_kept + rows_quarantined + rows_superseded
