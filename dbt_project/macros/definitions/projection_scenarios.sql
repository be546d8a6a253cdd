{# The scenarios as rows, with what each multiplies: acquisition, and the rate at which active profiles lapse. #}
{% macro projection_scenarios() -%}
    {%- set levers = var('projection') -%}
    {%- set scenarios = {
        'as_is': (1, 1),
        'more_acquisition': (1 + levers['more_acquisition'] / 100, 1),
        'fewer_lapses': (1, 1 - levers['fewer_lapses'] / 100),
    } -%}
    {%- for scenario, (acquisition, lapse) in scenarios.items() -%}
        select
            '{{ scenario }}' as scenario,
            cast({{ acquisition }} as {{ type_double() }}) as acquisition_factor,
            cast({{ lapse }} as {{ type_double() }}) as lapse_factor
        {% if not loop.last -%}
            union all
        {% endif -%}
    {%- endfor -%}
{%- endmacro %}
