{#
    A row belongs to the month in which it happened if it was loaded with the initial history, or on time: before the grace
    after that month is over. A late row belongs to the month in which it was loaded.
#}

{# Local date on which a row was loaded that did not come with the initial history, else null. #}
{% macro late_date(loaded_at) -%}
    case when {{ loaded_at }} > timestamp '{{ history_loaded_until() }}' then {{ local_date(loaded_at) }} end
{%- endmacro %}

{# Local date on which something became known that happened on a local date; `late_date` as above. #}
{% macro known_date(occurred_date, late_date) -%}
    case
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
            )
    {%- else -%}
        select *
        from {{ relation }}
        where
            {{ occurred_at }} >= {{ start }}
            and {{ occurred_at }} < {{ end }}
            and (loaded_at is null or loaded_at <= {{ history }} or loaded_at < {{ grace_end }})

        union all

        select *
        from {{ relation }}
        where loaded_at < {{ end }} and {{ is_late_in(occurred_at, month) }}
    {%- endif -%}
{%- endmacro %}
