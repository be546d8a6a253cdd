{#
    A microbatch model as it was before the run. Elsewhere a month is there until its batch replaces it; on Spark the views of the
    run hide the months that it closes again, and the readers' views do not.
#}
{% macro before_the_run(relation) -%}
    {#- A unit test puts rows of its own in the relation's place. -#}
    {{ return(adapter.dispatch('before_the_run')(relation) if flags.WHICH in ('run', 'build') else relation) }}
{%- endmacro %}

{% macro default__before_the_run(relation) -%}
    {{ return(relation) }}
{%- endmacro %}

{% macro spark__before_the_run(relation) -%}
    {{ return(api.Relation.create(schema=relation.schema[9:], identifier=relation.identifier, type='view')) }}
{%- endmacro %}
