{#
    What the only group of a regular expression captured in a text that matches it as a whole; null when the text does not, or
    when the group captured nothing.
#}
{% macro captured(text, pattern) -%}
    nullif({{ adapter.dispatch('captured')(text, pattern) }}, '')
{%- endmacro %}

{% macro duckdb__captured(text, pattern) -%}
    regexp_extract({{ text }}, {{ text_literal('^(?:' ~ pattern ~ ')$') }}, 1)
{%- endmacro %}

{% macro spark__captured(text, pattern) -%}
    regexp_extract({{ text }}, {{ text_literal("\\A(?u:" ~ pattern ~ ")\\z") }}, 1)
{%- endmacro %}

{% macro bigquery__captured(text, pattern) -%}
    regexp_extract({{ text }}, r'^(?:{{ pattern.replace("'", "\\'") }})$')
{%- endmacro %}
