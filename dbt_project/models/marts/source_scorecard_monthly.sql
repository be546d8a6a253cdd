-- Grain: month × source.
-- The change of an overall share on the month, r = sum(n) / sum(of), is split by source into what the source's own share did
-- (rate effect) and what its weight did (mix effect): Kitagawa, E. M. (1955), Components of a Difference Between Two Rates.
-- With weight w = of / sum(of), means over both months, and a source's share taken from the other month where it has none:
-- rate effect = mean(w) × (r - r before), mix effect = (w - w before) × (mean(r) - mean(overall r)).
{%- set shares = quality_shares() %}
with months as (

    select * from {{ ref('int_source_quality') }}
    where
        snapshot_month >= date '{{ month_after(months_of_run().first, -1) }}'
        and snapshot_month < date '{{ months_of_run().next }}'

),

totals as (

    select
        {% for share, of in shares.items() -%}
            cast(sum({{ of.n }}) as {{ type_double() }}) / nullif(sum({{ of.of }}), 0) as {{ share }}_r,
            nullif(cast(sum({{ of.of }}) as {{ type_double() }}), 0) as {{ share }}_of,
        {% endfor -%}
        snapshot_month,
        as_of_date,
        definition_version
    from months
    group by snapshot_month, as_of_date, definition_version

),

-- Each source of a month, and those of the month before: one that has emptied takes its share with it.
sources as (

    select
        snapshot_month,
        source
    from months

    union distinct

    select
        {{ add_months('snapshot_month', 1) }} as snapshot_month,
        source
    from months

),

compared as (

    select
        sources.snapshot_month,
        totals.as_of_date,
        sources.source,
        {% for suffix in ['', '_new'] -%}
            {% for measure in [
                'n_profiles', 'n_key_values', 'n_key_fields_filled', 'n_values', 'n_placeholders', 'n_coordinates', 'n_invalid',
                'n_duplicate', 'n_opted_in', 'n_optin_no_coordinate',
            ] -%}
                coalesce(present.{{ measure }}{{ suffix }}, 0) as {{ measure }}{{ suffix }},
            {% endfor -%}
        {% endfor -%}
        {% for share, of in shares.items() -%}
            coalesce(present.{{ of.of }}, 0) / totals.{{ share }}_of as {{ share }}_w,
            coalesce(past.{{ of.of }}, 0) / totals_before.{{ share }}_of as {{ share }}_w_before,
            cast(present.{{ of.n }} as {{ type_double() }}) / nullif(present.{{ of.of }}, 0) as {{ share }}_r,
            cast(past.{{ of.n }} as {{ type_double() }}) / nullif(past.{{ of.of }}, 0) as {{ share }}_r_before,
            (totals.{{ share }}_r + totals_before.{{ share }}_r) / 2 as {{ share }}_mean,
        {% endfor -%}
        cast(
            present.n_placeholders + present.n_invalid + present.n_duplicate + present.n_optin_no_coordinate
            as {{ type_double() }}
        ) / nullif(present.n_profiles, 0) as defects_per_profile,
        coalesce(present.n_profiles, 0) >= {{ var('min_source_profiles') }} as is_ranked,
        totals.definition_version
    from sources
    inner join totals on sources.snapshot_month = totals.snapshot_month
    left join totals as totals_before on {{ add_months('sources.snapshot_month', -1) }} = totals_before.snapshot_month
    left join months as present on sources.snapshot_month = present.snapshot_month and sources.source = present.source
    left join months as past
        on {{ add_months('sources.snapshot_month', -1) }} = past.snapshot_month and sources.source = past.source
    where {{ in_months_of_run('sources.snapshot_month') }}

),

final as (

    select
        snapshot_month,
        as_of_date,
        source,
        n_profiles,
        n_profiles_new as n_new,
        is_ranked,
        case
            when is_ranked
                then cast(rank() over (
                    partition by snapshot_month, is_ranked
                    order by defects_per_profile desc
                ) as {{ dbt.type_bigint() }})
        end as defect_rank,
        n_key_values,
        n_key_fields_filled,
        n_values,
        n_placeholders,
        n_coordinates,
        n_invalid,
        n_duplicate,
        n_opted_in,
        n_optin_no_coordinate,
        n_key_values_new,
        n_key_fields_filled_new,
        n_values_new,
        n_placeholders_new,
        n_coordinates_new,
        n_invalid_new,
        n_duplicate_new,
        n_opted_in_new,
        n_optin_no_coordinate_new,
        {% for share in shares -%}
            {%- set r = 'coalesce(' ~ share ~ '_r, ' ~ share ~ '_r_before, 0)' -%}
            {%- set r_before = 'coalesce(' ~ share ~ '_r_before, ' ~ share ~ '_r, 0)' -%}
            ({{ share }}_w + {{ share }}_w_before) / 2 * ({{ r }} - {{ r_before }}) as {{ share }}_rate_effect,
            ({{ share }}_w - {{ share }}_w_before) * (({{ r }} + {{ r_before }}) / 2 - {{ share }}_mean)
                as {{ share }}_mix_effect,
        {% endfor -%}
        {{ is_reconstructed() }} as is_reconstructed,
        definition_version
    from compared

)

select * from final
