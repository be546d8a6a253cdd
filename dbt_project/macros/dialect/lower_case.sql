{# Text in lower case, letter by letter. #}
{% macro lower_case(text) -%}
    {{ return(adapter.dispatch('lower_case')(text)) }}
{%- endmacro %}

{% macro default__lower_case(text) -%}
    lower({{ text }})
{%- endmacro %}

{# ICU does as Java does. #}
{% macro bigquery__lower_case(text) -%}
    {{ return(spark__lower_case(text)) }}
{%- endmacro %}

{# Java makes two characters of the Turkish capital İ, and another letter of Σ at the end of a word. #}
{% macro spark__lower_case(text) -%}
    lower(translate({{ text }}, 'İΣ', 'iσ'))
{%- endmacro %}
