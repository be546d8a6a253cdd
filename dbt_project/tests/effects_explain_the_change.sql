-- Why: a decomposition that does not add up blames a source for what another did.
-- Returns rows when the effects of all sources differ from the change of the overall share by more than rounding.
{{
    config(
        meta={
            'dagster': {'ref': {'name': 'source_scorecard_monthly'}},
            'description': 'Rate effects + mix effects of all sources = the change of each overall share on the month before.',
        }
    )
}}

with totals as (

    select
        {% for share, of in quality_shares().items() -%}
            cast(sum({{ of.n }}) as {{ type_double() }}) / nullif(sum({{ of.of }}), 0) as {{ share }}_r,
            sum({{ share }}_rate_effect) + sum({{ share }}_mix_effect) as {{ share }}_effect,
        {% endfor -%}
        snapshot_month
    from {{ ref('source_scorecard_monthly') }}
    where
        snapshot_month >= date '{{ month_after(months_of_run().first, -1) }}'
        and snapshot_month < date '{{ months_of_run().next }}'
    group by snapshot_month

)

select
    {% for share in quality_shares() -%}
        present.{{ share }}_r - past.{{ share }}_r - present.{{ share }}_effect as {{ share }}_left,
    {% endfor -%}
    present.snapshot_month
from totals as present
inner join totals as past on {{ add_months('present.snapshot_month', -1) }} = past.snapshot_month
where
    false
    {% for share in quality_shares() -%}
        or abs(present.{{ share }}_r - past.{{ share }}_r - present.{{ share }}_effect) > 0.000000001
    {% endfor %}
