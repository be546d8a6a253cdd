{#
    What every month of a run reads: a table, computed once, when the run closes several months; a view when it closes one,
    which then computes it where it is read and writes nothing.
#}
{% materialization once, default %}
    {%- set months = months_of_run() -%}
    {%- set kind = 'view' if month_after(months.first) == months.next else 'table' -%}
    {%- set own = 'materialization_' ~ kind ~ '_' ~ adapter.type() -%}
    {{ return(context[own if own in context else 'materialization_' ~ kind ~ '_default']()) }}
{% endmaterialization %}
