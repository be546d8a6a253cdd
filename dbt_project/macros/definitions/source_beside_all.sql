{# Source in a mart in which `all` is the whole base: a source of that name gives way. #}
{% macro source_beside_all() -%}
    case when source = 'all' then 'all (source)' else source end
{%- endmacro %}
