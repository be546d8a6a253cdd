{# A text as a SQL literal. #}
{% macro text_literal(text) -%}
    {{ return(adapter.dispatch('text_literal')(text)) }}
{%- endmacro %}

{% macro default__text_literal(text) -%}
    '{{ text.replace("'", "''") }}'
{%- endmacro %}

{# A backslash escapes, and `${…}` would be taken for a variable. #}
{% macro spark__text_literal(text) -%}
    '{{ text.replace("\\", "\\\\").replace("'", "\\'").replace("${", "\\u0024{") }}'
{%- endmacro %}
