{#
    Hash of the business vars that a row was computed under: those that every mart depends on, and `more`, which only one does.
#}
{% macro definition_version(more=[]) -%}
    {%- set names = [
        'reporting_timezone', 'recency_bands', 'active_within_days', 'activity_event_types', 'order_statuses_not_counted',
        'profile_fields', 'placeholders', 'channels', 'phone_regions', 'soft_bounces_in_a_row', 'min_source_profiles',
        'closing_grace_days',
    ] -%}
    {%- set words = [] -%}
    {%- for name in names + more -%}
        {%- do words.append(name ~ '=' ~ tojson(var(name), sort_keys=true)) -%}
    {%- endfor -%}
    '{{ local_md5(words | join(';'))[:12] }}'
{%- endmacro %}
