-- Grain: month × source × channel × movement.
-- For every source and channel: opening + sum(sign × n_profiles) = closing.
{%- set channels = var('channels').keys() | list %}
with contact_months as (

    select * from {{ ref('int_contact_months') }}
    where {{ in_months_of_run() }} and movement is not null

),

movements as (

    select * from {{ ref('consent_movements') }}

),

alike as (

    select
        snapshot_month,
        as_of_date,
        source,
        opening_source,
        movement,
        definition_version,
        {% for channel in channels -%}
            coalesce({{ channel }}_was_opted_in, false) as {{ channel }}_was_in,
            is_in_base and {{ channel }}_is_opted_in as {{ channel }}_is_in,
        {% endfor -%}
        is_in_base,
        count(*) as n_profiles
    from contact_months
    group by
        {% for channel in channels -%}
            coalesce({{ channel }}_was_opted_in, false), is_in_base and {{ channel }}_is_opted_in,
        {% endfor -%}
        snapshot_month, as_of_date, source, opening_source, movement, definition_version, is_in_base

),

channels as (

    {% for channel in channels + ['any'] -%}
        select '{{ channel }}' as channel
        {{ 'union all' if not loop.last }}
    {% endfor %}

),

by_channel as (

    select
        alike.*,
        channels.channel,
        case channels.channel
            {% for channel in channels -%}
                when '{{ channel }}' then alike.{{ channel }}_was_in
            {% endfor -%}
            else {{ on_any_channel('was_in', 'alike') }}
        end as was_in,
        case channels.channel
            {% for channel in channels -%}
                when '{{ channel }}' then alike.{{ channel }}_is_in
            {% endfor -%}
            else {{ on_any_channel('is_in', 'alike') }}
        end as is_in
    from alike
    cross join channels

),

-- A line for each movement that a profile can take part in: at the source where it was, or at the one where it is.
lines as (

    select
        by_channel.snapshot_month,
        by_channel.as_of_date,
        by_channel.channel,
        case
            when movements.movement in ('opening', 'opted_out', 'deleted', 'merged', 'reassigned_out')
                then by_channel.opening_source
            else by_channel.source
        end as source,
        movements.movement,
        movements.movement_rank,
        movements.sign,
        by_channel.n_profiles,
        by_channel.definition_version
    from by_channel
    cross join movements
    where
        case movements.movement
            when 'opening' then by_channel.was_in
            when 'closing' then by_channel.is_in
            when 'opted_in' then by_channel.is_in and not by_channel.was_in
            when 'opted_out' then by_channel.was_in and not by_channel.is_in and by_channel.is_in_base
            when 'deleted' then by_channel.was_in and not by_channel.is_in_base and by_channel.movement <> 'merged'
            when 'merged' then by_channel.was_in and by_channel.movement = 'merged'
            else by_channel.was_in and by_channel.is_in and by_channel.source <> by_channel.opening_source
        end

),

final as (

    select
        snapshot_month,
        as_of_date,
        source,
        channel,
        movement,
        cast(movement_rank as {{ dbt.type_bigint() }}) as movement_rank,
        cast(sign as {{ dbt.type_bigint() }}) as sign,
        cast(sum(n_profiles) as {{ dbt.type_bigint() }}) as n_profiles,
        {{ is_reconstructed() }} as is_reconstructed,
        definition_version
    from lines
    group by snapshot_month, as_of_date, source, channel, movement, movement_rank, sign, definition_version

)

select * from final
