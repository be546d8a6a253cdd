{#
    The rule book: each rule, what it asks the reader to do, and how many months running it must hold. Its levels, in
    increasing severity, are in the var `challenges`.
#}
{% macro challenge_rules() -%}
    {%- set months = var('challenges').months_running -%}
    {{ return({
        'acquisition_below_mean': {'action': 'revive_acquisition', 'months': months},
        'month_weak_against_last_year': {'action': 'compare_campaigns', 'months': 1},
        'filling_with_inactive': {'action': 'reactivate', 'months': 1},
        'base_draining': {'action': 'stop_the_drain', 'months': 1},
        'prospects_among_new': {'action': 'convert_new', 'months': 1},
        'field_missing': {'action': 'ask_for_field', 'months': 1},
        'optin_cliff': {'action': 'check_consents', 'months': 1},
        'spoiling_source': {'action': 'clean_source', 'months': 1},
        'channel_not_contactable': {'action': 'collect_optins', 'months': 1},
        'retention_overdue': {'action': 'delete_or_win_back', 'months': 1},
        'concentration': {'action': 'spread_sources', 'months': 1},
    }) }}
{%- endmacro %}

{# Level from which a rule says something. #}
{% macro challenge_level(rule) -%}
    {{ return(var('challenges').levels[rule].info) }}
{%- endmacro %}

{#
    Months before the run that the rules read: a challenge is followed over 24 months, and each of them is compared with the
    thirteen before.
#}
{% macro in_months_of_challenges() -%}
    {{ in_months_of_run_and(36) }}
{%- endmacro %}

{# A month as a number, for windows over months. #}
{% macro month_number(month='snapshot_month') -%}
    extract(year from {{ month }}) * 12 + extract(month from {{ month }})
{%- endmacro %}

{#
    Probability that chance alone gives a standard normal value above z; 1 where z is not above 0. Abramowitz and Stegun,
    Handbook of Mathematical Functions, 26.2.17.
#}
{% macro chance_above(z) -%}
    {%- set t = '(1 / (1 + 0.2316419 * ' ~ z ~ '))' -%}
    case
        when {{ z }} > 0
            then
                0.3989422804014327 * exp(-{{ z }} * {{ z }} / 2) * {{ t }} * (
                    0.319381530 + {{ t }} * (
                        -0.356563782 + {{ t }} * (1.781477937 + {{ t }} * (-1.821255978 + {{ t }} * 1.330274429))
                    )
                )
        else 1
    end
{%- endmacro %}

{# What a rule measures of a share n / n_profiles that should stay under its level. #}
{% macro share_measures(rule) -%}
    {%- set level = challenge_level(rule) -%}
        cast(n_profiles as {{ dbt.type_bigint() }}) as n_profiles,
        cast(n as {{ type_double() }}) / n_profiles as observed,
        cast({{ level }} as {{ type_double() }}) as baseline,
        cast(n as {{ type_double() }}) / n_profiles as size,
        (cast(n as {{ type_double() }}) / n_profiles - {{ level }})
        / sqrt({{ level }} * (1 - {{ level }}) / n_profiles) as z_score,
        cast(n as {{ type_double() }}) / n_profiles >= {{ level }} as holds
{%- endmacro %}
