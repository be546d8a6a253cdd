-- Grain: customer × month from which on its state holds. What the form of each coordinate said, kept as int_profile_history is;
-- no coordinate.
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
{{ observed_history('select * from ' ~ ref('int_coordinates'), coordinate_state()) }}
