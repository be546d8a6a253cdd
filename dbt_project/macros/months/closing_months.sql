{# First month of the run, or of the batch in a microbatch model, as 'YYYY-MM-01'. #}
{% macro closing_month() -%}
    {%- if model is defined and model.batch -%}
        {{ return(model.batch.event_time_start.strftime('%Y-%m-01')) }}
    {%- endif -%}
    {{ return(months_of_run().first) }}
{%- endmacro %}

{# The months this run closes, half-open: {'first': 'YYYY-MM-01', 'next': 'YYYY-MM-01'}. Outside a close: all of them. #}
{% macro months_of_run() -%}
    {%- set first = invocation_args_dict.get('event_time_start') -%}
    {%- set next = invocation_args_dict.get('event_time_end') -%}
    {%- if first and next -%}
        {{ return({'first': (first | string)[:10], 'next': (next | string)[:10]}) }}
    {%- endif -%}
    {{ return({'first': '1000-01-01', 'next': '9000-01-01'}) }}
{%- endmacro %}

{# A month some months after another, both 'YYYY-MM-01'. #}
{% macro month_after(month, months=1) -%}
    {%- set count = (month[:4] | int) * 12 + (month[5:7] | int) - 1 + months -%}
    {{ return('%04d-%02d-01' % (count // 12, count % 12 + 1)) }}
{%- endmacro %}

{# The instant, as a UTC timestamp literal, at which a local date begins in the reporting zone. #}
{% macro local_midnight(date) -%}
    {%- set zone = modules.pytz.timezone(var('reporting_timezone')) -%}
    {%- set midnight = modules.datetime.datetime.strptime(date, '%Y-%m-%d') -%}
    {#- Where clocks turn at midnight, the date begins at the earlier of two midnights, or right after the gap. -#}
    {%- set earlier = zone.normalize(zone.localize(midnight, is_dst=true)) -%}
    {%- set begins = earlier if earlier.date() == midnight.date() else zone.localize(midnight, is_dst=false) -%}
    timestamp '{{ begins.astimezone(modules.pytz.utc).replace(tzinfo=none).isoformat(' ') }}'
{%- endmacro %}

{% macro add_days_to(date, days) -%}
    {{ return((modules.datetime.datetime.strptime(date, '%Y-%m-%d') + modules.datetime.timedelta(days=days)).date().isoformat()) }}
{%- endmacro %}
