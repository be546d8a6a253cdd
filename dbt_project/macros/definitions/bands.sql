{#
    Bands of whole numbers as rows: <name>_band, <name>_band_rank, and their bounds, half-open. The var `<name>_bands` has the upper
    bounds, inclusive; the last band has none.
#}
{% macro bands(name) -%}
    {%- set bounds = var(name ~ '_bands') -%}
    {%- for upper in bounds -%}
        {%- set lower = 0 if loop.first else loop.previtem + 1 -%}
        select
            '{{ lower }}-{{ upper }}' as {{ name }}_band,
            cast({{ loop.index }} as {{ dbt.type_bigint() }}) as {{ name }}_band_rank,
            {{ lower }} as lower_bound,
            {{ upper + 1 }} as upper_bound
        union all
    {% endfor -%}
    select
        '{{ bounds[-1] + 1 }}+' as {{ name }}_band,
        cast({{ bounds | length + 1 }} as {{ dbt.type_bigint() }}) as {{ name }}_band_rank,
        {{ bounds[-1] + 1 }} as lower_bound,
        2147483647 as upper_bound
{%- endmacro %}
