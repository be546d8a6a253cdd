{#
    Of some columns, those that are no fill flags. Fill flags (`has_…`) come and go with the var `profile_fields`, and no later
    month reads them: where a closed month has none, they are null. All other columns stay as they are.
#}
{% macro without_fill_flags(names) -%}
    {%- set others = [] -%}
    {%- for name in names if not name.startswith('has_') -%}
        {%- do others.append(name) -%}
    {%- endfor -%}
    {{ return(others) }}
{%- endmacro %}
