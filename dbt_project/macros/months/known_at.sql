{#
    A row belongs to the month in which it happened if it was loaded with the initial history, or on time: before the grace
    after that month is over. A late row belongs to the month in which it was loaded, until the month in which it happened is
    restated: a row that had been loaded by then counts as on time.
#}

{# Local date on which a row was loaded that did not come with the initial history, else null. #}
{% macro late_date(loaded_at) -%}
    case when {{ loaded_at }} > timestamp '{{ history_loaded_until() }}' then {{ local_date(loaded_at) }} end
{%- endmacro %}

{# Local date on which something became known that happened on a local date; `late_date` is of `loaded_at`, as above. #}
{% macro known_date(occurred_date, late_date, loaded_at) -%}
    {%- set restated = is_restated(occurred_date, loaded_at, by_date=true) -%}
    case
        {% if restated -%}
            when {{ restated }} then {{ occurred_date }}
        {% endif -%}
        when
            {{ late_date }}
            >= {{ date_plus_days(add_months(month_start(occurred_date), 1), var('closing_grace_days')) }}
            then {{ late_date }}
        else {{ occurred_date }}
    end
{%- endmacro %}

{# The rows of a relation that became known in a month or later; all rows when it is the first month of the base. #}
{% macro rows_known_from(relation, occurred_at, month) -%}
    {%- set start = local_midnight(month) -%}
    select *
    from {{ relation }}
    {%- if month != first_month() %}
    where {{ occurred_at }} >= {{ start }}

    union all

    select *
    from {{ relation }}
    where {{ occurred_at }} < {{ start }} and {{ is_late_in(occurred_at, month) }}
    {%- endif -%}
{%- endmacro %}

{# Condition on rows loaded from a month on: it happened in a month whose grace was over when the row was loaded. #}
{% macro is_late_in(occurred_at, month) -%}
    loaded_at >= {{ local_midnight(month) }}
    and loaded_at > timestamp '{{ history_loaded_until() }}'
    and (
        {{ occurred_at }} < {{ local_midnight(month_after(month, -1)) }}
        or (
            {{ occurred_at }} < {{ local_midnight(month) }}
            and loaded_at >= {{ local_midnight(add_days_to(month, var('closing_grace_days'))) }}
        )
    )
    {%- set restated = is_restated(occurred_at, 'loaded_at') %}
    {%- if restated %}
    and not ({{ restated }})
    {%- endif -%}
{%- endmacro %}

{#
    Condition on a row: the month in which it happened was restated after the row had been loaded; empty when no month was.
    `by_date`: it is known when by its local date. Null where either is.
#}
{% macro is_restated(occurred, loaded_at, by_date=false) -%}
    {%- set conditions = [] -%}
    {%- for range in restated_ranges() -%}
        {%- set next = "date '" ~ range.next ~ "'" if by_date else local_midnight(range.next) -%}
        {%- set condition = loaded_at ~ " <= timestamp '" ~ range.restated_at ~ "' and " ~ occurred ~ ' < ' ~ next -%}
        {%- if range.first != first_month() -%}
            {#- With the first month, what happened before it is restated too. -#}
            {%- set first = "date '" ~ range.first ~ "'" if by_date else local_midnight(range.first) -%}
            {%- set condition = condition ~ ' and ' ~ occurred ~ ' >= ' ~ first -%}
        {%- endif -%}
        {%- do conditions.append('(' ~ condition ~ ')') -%}
    {%- endfor -%}
    {{ return(conditions | join(' or ')) }}
{%- endmacro %}

{# Until when (UTC, text) the rows that happened in a month counted as on time at its last restatement; none without any. #}
{% macro restated_until(month) -%}
    {%- set moments = [] -%}
    {%- for range in restated_ranges() if range.first <= month and month < range.next -%}
        {%- do moments.append(range.restated_at) -%}
    {%- endfor -%}
    {{ return(moments | max if moments else none) }}
{%- endmacro %}

{#
    The rows of a relation that became known in a month; in the first month of the base, all that is known by its end.
    Every bound is a constant on one column, so that engines skip the files and row groups of other months.
#}
{% macro rows_known_in(relation, occurred_at, month) -%}
    {%- set start = local_midnight(month) -%}
    {%- set end = local_midnight(month_after(month)) -%}
    {%- set grace_end = local_midnight(add_days_to(month_after(month), var('closing_grace_days'))) -%}
    {%- set history = "timestamp '" ~ history_loaded_until() ~ "'" -%}
    {%- set restated = restated_until(month) -%}
    {%- if month == first_month() -%}
        select *
        from {{ relation }}
        where
            {{ occurred_at }} < {{ end }}
            and (
                loaded_at is null
                or loaded_at <= {{ history }}
                or loaded_at < {{ end }}
                or ({{ occurred_at }} >= {{ start }} and loaded_at < {{ grace_end }})
                {%- if restated %}
                or loaded_at <= timestamp '{{ restated }}'
                {%- endif %}
            )
    {%- else -%}
        select *
        from {{ relation }}
        where
            {{ occurred_at }} >= {{ start }}
            and {{ occurred_at }} < {{ end }}
            and (
                loaded_at is null
                or loaded_at <= {{ history }}
                or loaded_at < {{ grace_end }}
                {%- if restated %}
                or loaded_at <= timestamp '{{ restated }}'
                {%- endif %}
            )

        union all

        select *
        from {{ relation }}
        where loaded_at < {{ end }} and {{ is_late_in(occurred_at, month) }}
    {%- endif -%}
{%- endmacro %}
