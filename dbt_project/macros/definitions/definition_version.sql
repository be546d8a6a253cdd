{#
    Hash of the business vars that every mart depends on. Where a mart alone depends on `more` vars, their hash follows after a dot:
    a change of theirs does not part the other marts' months.
#}
{% macro definition_version(more=[]) -%}
    {%- set names = [
        'reporting_timezone', 'recency_bands', 'active_within_days', 'activity_event_types', 'order_statuses_not_counted',
        'profile_fields', 'placeholders', 'channels', 'phone_regions', 'soft_bounces_in_a_row', 'min_source_profiles',
        'closing_grace_days',
    ] -%}
    '{{ hash_of_vars(names, 12) }}{{ '.' ~ hash_of_vars(more, 6) if more }}'
{%- endmacro %}

{# The first characters of a hash of vars. #}
{% macro hash_of_vars(names, length) -%}
    {%- set words = [] -%}
    {%- for name in names -%}
        {%- do words.append(name ~ '=' ~ tojson(var(name), sort_keys=true)) -%}
    {%- endfor -%}
    {{ return(local_md5(words | join(';'))[:length]) }}
{%- endmacro %}
