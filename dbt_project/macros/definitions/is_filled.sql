{# A text value that says something: trimmed, not empty, no placeholder; for an e-mail, no generic local part either. #}
{% macro is_filled(column) -%}
    {%- set text = 'lower(' ~ strip_blanks(column) ~ ')' -%}
    coalesce(
        {{ text }} not in ('', {{ quoted_list(var('placeholders')['values']) }})
        {%- if column == 'email' %}
        and split_part({{ text }}, '@', 1) not in ({{ quoted_list(var('placeholders')['email_local_parts']) }})
        {%- endif %},
        false
    )
{%- endmacro %}

{# A birth date that makes a person of 0 to 120 years at the as-of date. #}
{% macro is_plausible_birth_date(birth_date, as_of_date) -%}
    coalesce({{ birth_date }} <= {{ as_of_date }} and {{ birth_date }} > {{ add_months(as_of_date, -121 * 12) }}, false)
{%- endmacro %}

{# SQL list of text literals. #}
{% macro quoted_list(values) -%}
    {%- for value in values -%}
        '{{ (value | string | lower).replace("'", "''") }}'{{ ', ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}

{% macro profile_field_names() -%}
    {{ return(var('profile_fields') | map(attribute='name') | list) }}
{%- endmacro %}

{# Raw text columns that the profile fields are made of. #}
{% macro profile_columns() -%}
    {%- set columns = [] -%}
    {%- for field in var('profile_fields') -%}
        {%- for column in field.get('columns', [field.name]) if column != 'birth_date' and column not in columns -%}
            {%- do columns.append(column) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(columns) }}
{%- endmacro %}
