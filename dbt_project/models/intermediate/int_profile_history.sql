-- Grain: customer × month from which on its state holds. Only what changed; a profile that is gone has a row that says so.
-- A run observes once, under the first open month. Later open months have the same state; closed months keep what they had.
{{
    config(
        materialized='incremental',
        incremental_strategy='microbatch',
        event_time='snapshot_month',
        batch_size='month',
        begin='1900-01-01',
        concurrent_batches=false,
        on_schema_change='fail',
        full_refresh=false,
    )
}}

{{
    observed_history(
        'select *, ' ~ birth_month('birth_date') ~ ' as birth_month from ' ~ ref('int_profiles'),
        profile_state()
    )
}}
