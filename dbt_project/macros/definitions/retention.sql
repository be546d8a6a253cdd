{# Date from which a profile is due for deletion: its last contact, and the months that its status is kept after that. #}
{% macro retention_due_date(status, last_activity_date) -%}
    case {{ status }}
        {% for name, months in var('retention_months').items() -%}
            when '{{ name }}' then {{ add_months(last_activity_date, months) }}
        {% endfor -%}
    end
{%- endmacro %}
