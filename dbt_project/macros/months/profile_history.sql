{#
    The history of what was known of profiles: a row where something changed, under the first month that it holds for. That is the
    first month that was open when it was observed: months closed before keep what they had.
#}

{# The first month that was not closed when the run began. Where nobody records closes, each run closes open months. #}
{% macro first_open_month() -%}
    {%- set first = months_of_run().first -%}
    {%- if execute and flags.WHICH in ('run', 'build') -%}
        {%- set warehouse = source('ops', 'warehouse') -%}
        {%- set record = adapter.get_relation(warehouse.database, warehouse.schema, 'closed_months') -%}
        {%- set last = run_query('select max(snapshot_month) from ' ~ record).columns[0].values()[0] if record else none -%}
        {%- if last -%}
            {{ return([first, month_after((last | string)[:10])] | max) }}
        {%- endif -%}
    {%- endif -%}
    {{ return(first) }}
{%- endmacro %}

{# What the history keeps of a profile, as {name: type}: flags, dimensions and dates, and of the birth date no day. #}
{% macro profile_state() -%}
    {%- set columns = {
        'source': dbt.type_string(), 'is_birth_date_given': dbt.type_boolean(), 'birth_month': 'date',
        'gender': dbt.type_string(), 'created_at': dbt.type_timestamp(), 'first_loaded_at': dbt.type_timestamp(),
        'late_date': 'date', 'left_date': 'date',
    } -%}
    {%- for field in profile_field_names() if field != 'birth_date' -%}
        {%- do columns.update({'has_' ~ field: dbt.type_boolean()}) -%}
    {%- endfor -%}
    {{ return(columns) }}
{%- endmacro %}

{# What the history keeps of the coordinates of a profile: what their form says, when they changed, how many are written. #}
{% macro coordinate_state() -%}
    {%- set columns = {} -%}
    {%- for name in ['email', 'phone', 'sms', 'post'] -%}
        {%- do columns.update({name ~ '_form': dbt.type_string(), name ~ '_reason': dbt.type_string()}) -%}
    {%- endfor -%}
    {%- for name in ['email', 'phone', 'postal_address'] -%}
        {%- do columns.update({name ~ '_changed_at': dbt.type_timestamp()}) -%}
    {%- endfor -%}
    {%- do columns.update({'n_values': dbt.type_bigint(), 'n_placeholders': dbt.type_bigint()}) -%}
    {{ return(columns) }}
{%- endmacro %}

{#
    The rows that a history model keeps under a month, of what a query observes now; `columns` maps those it keeps to their types. A
    closed month keeps its rows, the first open month has what changed since the months before it, and later ones have nothing.
#}
{% macro observed_history(query, columns) -%}
    {%- set month = closing_month() -%}
    {%- set open_month = first_open_month() -%}
    {%- set history = before_the_run(this) -%}
    {%- set is_observed_before = has_months_before(history, open_month) -%}
    {%- if month < open_month and is_observed_before -%}
        select
            snapshot_month,
            customer_id,
            {{ kept_columns(history, columns) -}}
            is_gone
        from {{ history }}
        where snapshot_month = date '{{ month }}'
    {%- else -%}
        with observed as (
            {{ query }}
        ),

        observed_before as (
            {% if is_observed_before -%}
                select
                    customer_id,
                    {{ kept_columns(history, columns) -}}
                    is_gone,
                    row_number() over (partition by customer_id order by snapshot_month desc) as nth_latest
                from {{ history }}
                where snapshot_month < date '{{ month }}'
            {%- else -%}
                select
                    cast(null as {{ dbt.type_string() }}) as customer_id,
                    {% for name, type in columns.items() -%}
                        cast(null as {{ type }}) as {{ name }},
                    {% endfor -%}
                    false as is_gone,
                    1 as nth_latest
                limit 0
            {%- endif %}
        ),

        latest as (
            select * from observed_before
            where nth_latest = 1 and not is_gone
        )

        select
            date '{{ month }}' as snapshot_month,
            coalesce(observed.customer_id, latest.customer_id) as customer_id,
            {% for name in columns -%}
                observed.{{ name }},
            {% endfor -%}
            observed.customer_id is null as is_gone
        from observed
        full join latest on observed.customer_id = latest.customer_id
        where
            {% if month != open_month -%}
                false
            {%- else -%}
                observed.customer_id is null
                or latest.customer_id is null
                {% for name in columns -%}
                    or {{ differ('observed.' ~ name, 'latest.' ~ name) }}
                {% endfor %}
            {%- endif %}
    {%- endif -%}
{%- endmacro %}

{#
    Of a birth date what ages at the ends of months depend on: its month. Who was born on 29 February is a year older at the end of
    that month in leap years only, and keeps the day.
#}
{% macro birth_month(birth_date) -%}
    case
        when extract(month from {{ birth_date }}) = 2 and extract(day from {{ birth_date }}) = 29 then {{ birth_date }}
        else {{ month_start(birth_date) }}
    end
{%- endmacro %}

{# Whether two values differ; null is a value of its own. #}
{% macro differ(one, other) -%}
    coalesce({{ one }} <> {{ other }}, ({{ one }} is null) <> ({{ other }} is null))
{%- endmacro %}

{# The columns of a history as they were kept; null for those that were not followed yet. #}
{% macro kept_columns(relation, columns) -%}
    {%- set kept = columns.keys() | list -%}
    {%- if execute and flags.WHICH in ('run', 'build') -%}
        {%- set kept = adapter.get_columns_in_relation(relation) | map(attribute='name') | list -%}
    {%- endif -%}
    {%- for name, type in columns.items() -%}
        {{ name if name in kept else 'cast(null as ' ~ type ~ ') as ' ~ name }},
    {% endfor -%}
{%- endmacro %}

{# Whether a relation has rows of months before one; outside a close, whether there are such months. #}
{% macro has_months_before(relation, month) -%}
    {%- if execute and flags.WHICH in ('run', 'build') -%}
        {{ return(load_relation(relation) is not none and run_query(
            "select 1 from " ~ relation ~ " where snapshot_month < date '" ~ month ~ "' limit 1"
        ) | length > 0) }}
    {%- endif -%}
    {{ return(month > first_month()) }}
{%- endmacro %}

{#
    The rows with a period that hold for a month. A restated month also has what was first observed after it, in its earliest
    state: it was there, and its rows came late.
#}
{% macro known_in(relation, month) -%}
    {%- if restated_until(month) -%}
        select *
        from (
            select
                *,
                min(coalesce(valid_from_month, date '1900-01-01')) over (partition by customer_id) as first_known_month
            from {{ relation }}
        ) as states
        where
            {{ holds_in(month) }}
            or (valid_from_month = first_known_month and first_known_month > date '{{ month }}')
    {%- else -%}
        select * from {{ relation }}
        where {{ holds_in(month) }}
    {%- endif -%}
{%- endmacro %}

{# What the history keeps of a profile that a restated month takes as it is known now. #}
{% macro profile_dates() -%}
    {{ return(['created_at', 'created_date', 'first_loaded_at', 'late_date', 'left_date']) }}
{%- endmacro %}

{# Condition on rows with a period, half-open and open where it has no bound: they hold for a month. #}
{% macro holds_in(month) -%}
    (
        (valid_from_month is null or valid_from_month <= date '{{ month }}')
        and (valid_until_month is null or valid_until_month > date '{{ month }}')
    )
{%- endmacro %}
