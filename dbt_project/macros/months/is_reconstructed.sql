{#
    Condition: the month could be closed before the base was first observed, so that nobody saw the profiles' fields as they were
    at its end. Both moments stay what they were: closing the month again gives the same answer.
#}
{% macro is_reconstructed(month='snapshot_month') -%}
    {{ month }} < date '{{ first_observed_month() }}'
{%- endmacro %}

{# The first month whose end, with the grace for late rows, was not over yet when the base was first observed. #}
{% macro first_observed_month() -%}
    {%- set datetime = modules.datetime -%}
    {%- set observed = datetime.datetime.fromisoformat(first_observation()).replace(tzinfo=modules.pytz.utc) -%}
    {#- What happens at the very end of the grace comes before nothing. -#}
    {%- set zone = modules.pytz.timezone(var('reporting_timezone')) -%}
    {%- set before = (observed - datetime.timedelta(microseconds=1)).astimezone(zone).date() -%}
    {{ return((before - datetime.timedelta(days=var('closing_grace_days'))).strftime('%Y-%m-01')) }}
{%- endmacro %}
