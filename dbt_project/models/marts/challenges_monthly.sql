-- Grain: month × challenge code × source (`all` is the whole base). A row is a finding; without a row there is none.
{%- set settings = var('challenges') %}

with measures as (

    select * from {{ ref('challenge_measures') }}
    where {{ in_months_of_run() }}

),

rules as (

    {% for rule, meaning in challenge_rules().items() -%}
        {%- set levels = settings.levels[rule] -%}
        select
            '{{ rule }}' as rule,
            '{{ meaning.action }}' as suggested_action,
            {{ meaning.months }} as n_months_least,
            {{ levels.info }} as info,
            {{ levels.warning }} as warning,
            {{ levels.critical }} as critical
        {{ 'union all' if not loop.last }}
    {% endfor %}

),

judged as (

    select
        measures.*,
        rules.suggested_action,
        case
            when measures.size >= rules.critical then 'critical'
            when measures.size >= rules.warning then 'warning'
            else 'info'
        end as severity,
        1 - measures.chance * measures.n_tests as confidence
    from measures
    inner join rules on measures.rule = rules.rule
    where
        measures.holds
        and measures.size >= rules.info
        and measures.n_months >= rules.n_months_least
        and measures.n_profiles >= {{ settings.min_profiles }}

),

final as (

    select
        snapshot_month,
        as_of_date,
        challenge_code,
        source,
        severity,
        cast(observed as {{ type_double() }}) as observed,
        cast(baseline as {{ type_double() }}) as baseline,
        cast(case when n_months > 24 then 24 else n_months end as {{ dbt.type_bigint() }}) as n_evidence_months,
        cast(confidence as {{ type_double() }}) as confidence,
        n_profiles,
        suggested_action,
        {{ is_reconstructed() }} as is_reconstructed,
        {{ definition_version(['challenges']) }} as definition_version
    from judged
    where confidence >= {{ settings.min_confidence }}

)

select * from final
