{# Text after the first of a separator (one character); all of it without one. #}
{% macro text_after(text, separator) -%}
    substr({{ text }}, {{ dbt.position(text_literal(separator), text) }} + 1)
{%- endmacro %}

{# The last parts of a text between separators (one character); all of it when there are no more. #}
{% macro last_parts(text, separator, n) -%}
    {{ return(adapter.dispatch('last_parts')(text, separator, n)) }}
{%- endmacro %}

{% macro duckdb__last_parts(text, separator, n) -%}
    array_to_string(string_split({{ text }}, '{{ separator }}')[-{{ n }}:], '{{ separator }}')
{%- endmacro %}

{% macro spark__last_parts(text, separator, n) -%}
    substring_index({{ text }}, '{{ separator }}', -{{ n }})
{%- endmacro %}

{% macro bigquery__last_parts(text, separator, n) -%}
    regexp_extract({{ text }}, r'(?:[^{{ separator }}]*[{{ separator }}]){0,{{ n - 1 }}}[^{{ separator }}]*$')
{%- endmacro %}

{# Text without a character at its beginning, however often it stands there. #}
{% macro without_leading(text, character) -%}
    {{ return(adapter.dispatch('without_leading')(text, character)) }}
{%- endmacro %}

{% macro default__without_leading(text, character) -%}
    ltrim({{ text }}, {{ text_literal(character) }})
{%- endmacro %}

{% macro spark__without_leading(text, character) -%}
    ltrim({{ text_literal(character) }}, {{ text }})
{%- endmacro %}
