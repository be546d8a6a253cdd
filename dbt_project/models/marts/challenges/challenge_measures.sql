-- Grain: challenge code × month × source. What the rules measured, found or not; how long it has been so, and what chance does.
{%- set rule_models = [
    'rule_acquisition_below_mean', 'rule_falls', 'rule_prospects_among_new', 'rule_field_missing', 'rule_spoiling_source',
    'rule_channel_not_contactable', 'rule_concentration', 'rule_retention_overdue',
] %}
{%- set columns = [
    'snapshot_month', 'as_of_date', 'rule', 'challenge_code', 'source', 'n_profiles', 'observed', 'baseline', 'size', 'z_score',
    'holds', 'definition_version',
] %}

with measures as (

    {% for model in rule_models -%}
        select {{ columns | join(', ') }} from {{ ref(model) }}
        {{ 'union all' if not loop.last }}
    {% endfor %}

),

-- Months without a gap share the difference between their number and their rank among those in which the rule holds.
ranked as (

    select
        *,
        {{ month_number() }} as month_number,
        {{ month_number() }} - row_number() over (
            partition by challenge_code, source, definition_version, holds
            order by snapshot_month
        ) as stretch
    from measures

),

final as (

    select
        snapshot_month,
        as_of_date,
        rule,
        challenge_code,
        source,
        n_profiles,
        observed,
        baseline,
        size,
        holds,
        row_number() over (
            partition by challenge_code, source, definition_version, holds, stretch
            order by snapshot_month
        ) as n_months,
        {{ chance_above('z_score') }} as chance,
        -- Tests that a year makes at this rate: each of them could find something that is not there.
        12 * sum(case when n_profiles >= {{ var('challenges').min_profiles }} then 1 else 0 end) over (
            partition by snapshot_month
        ) as n_tests,
        definition_version
    from ranked

)

select * from final
