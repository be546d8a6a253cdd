{#
    A text value that says something: trimmed, not empty, no placeholder; for an e-mail, no generic local part either. One
    regular expression, which gives up at the first character of almost every value, is far cheaper than trimming and comparing.
#}
{% macro is_filled(column) -%}
    {%- set nothing = any_of(var('placeholders')['values']) -%}
    {%- if column.split('.') | last == 'email' -%}
        {%- set nothing = nothing ~ '|(?:' ~ any_of(var('placeholders')['email_local_parts']) ~ ')(?:@.*)?' -%}
    {%- endif -%}
    coalesce(not {{ matches_fully(column, '(?is)' ~ blank_pattern() ~ '*(?:' ~ nothing ~ ')?' ~ blank_pattern() ~ '*') }}, false)
{%- endmacro %}

{# A text value in which something is written, a placeholder too. #}
{% macro is_written(column) -%}
    coalesce(not {{ matches_fully(column, blank_pattern() ~ '*') }}, false)
{%- endmacro %}

{# Regular expression for any of some texts, to the letter. #}
{% macro any_of(texts) -%}
    {%- set escaped = [] -%}
    {%- for text in texts -%}
        {%- do escaped.append(modules.re.escape(text | string | trim)) -%}
    {%- endfor -%}
    {{ return(escaped | join('|')) }}
{%- endmacro %}

{# A birth date that makes a person of 0 to 120 years at the as-of date. #}
{% macro is_plausible_birth_date(birth_date, as_of_date) -%}
    coalesce({{ birth_date }} <= {{ as_of_date }} and {{ birth_date }} > {{ add_months(as_of_date, -121 * 12) }}, false)
{%- endmacro %}

{# Completed years from a birth date to the as-of date; null where the birth date is not plausible. #}
{% macro age_in_years(birth_date, as_of_date) -%}
    case
        when {{ is_plausible_birth_date(birth_date, as_of_date) }}
            then cast(
                extract(year from {{ as_of_date }}) - extract(year from {{ birth_date }})
                - case
                    when
                        extract(month from {{ as_of_date }}) * 100 + extract(day from {{ as_of_date }})
                        < extract(month from {{ birth_date }}) * 100 + extract(day from {{ birth_date }})
                        then 1
                    else 0
                end
                as {{ dbt.type_bigint() }}
            )
    end
{%- endmacro %}

{# SQL list of text literals. #}
{% macro quoted_list(values) -%}
    {%- for value in values -%}
        {{ text_literal(value | string | lower) }}{{ ', ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}

{# SQL list of date literals. #}
{% macro date_list(dates) -%}
    {%- for date in dates -%}
        date '{{ date }}'{{ ', ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}

{% macro profile_field_names() -%}
    {{ return(var('profile_fields') | map(attribute='name') | list) }}
{%- endmacro %}

{# Raw columns that a profile field is made of. #}
{% macro field_columns(field) -%}
    {{ return(field.get('columns') or [field.name]) }}
{%- endmacro %}

{#
    Raw text columns of the coordinates and of the profile fields. Those that staging writes in a way of its own are not among
    them.
#}
{% macro profile_columns() -%}
    {%- set columns = ['email', 'phone', 'address_line', 'postal_code', 'city'] -%}
    {%- for field in var('profile_fields') -%}
        {%- for column in field_columns(field) if column not in columns + ['customer_id', 'source', 'country', 'birth_date'] -%}
            {%- do columns.append(column) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(columns) }}
{%- endmacro %}
