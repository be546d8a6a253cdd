{# The bands of the var `recency_bands` as rows: recency_band, recency_band_rank, and days, half-open. #}
{% macro recency_bands() -%}
    {%- set bounds = var('recency_bands') -%}
    {%- for upper in bounds -%}
        {%- set lower = 0 if loop.first else loop.previtem + 1 -%}
        select
            '{{ lower }}-{{ upper }}' as recency_band,
            cast({{ loop.index }} as {{ dbt.type_bigint() }}) as recency_band_rank,
            {{ lower }} as from_days,
            {{ upper + 1 }} as before_days
        union all
    {% endfor -%}
    select
        '{{ bounds[-1] + 1 }}+' as recency_band,
        cast({{ bounds | length + 1 }} as {{ dbt.type_bigint() }}) as recency_band_rank,
        {{ bounds[-1] + 1 }} as from_days,
        2147483647 as before_days
{%- endmacro %}
