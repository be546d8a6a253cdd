{#
    What every month of a run reads: a table, computed once, when the run closes several months; a view when it closes one,
    which then computes it where it is read and writes nothing.
#}
{% materialization once, default %}
    {%- set months = months_of_run() -%}
    {%- set kind = 'view' if month_after(months.first) == months.next else 'table' -%}
    {%- set existing = load_cached_relation(this) -%}
    {%- if kind == 'view' and existing is not none and existing.is_table -%}
        {#- BigQuery puts no view in the place of a table. -#}
        {%- do adapter.drop_relation(existing) -%}
    {%- endif -%}
    {%- set own = 'materialization_' ~ kind ~ '_' ~ adapter.type() -%}
    {{ return(context[own if own in context else 'materialization_' ~ kind ~ '_default']()) }}
{% endmaterialization %}
