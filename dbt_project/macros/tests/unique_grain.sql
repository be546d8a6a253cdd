{# Fails for each combination of the columns that more than one row has, among the months of the run. #}
{% test unique_grain(model, columns) %}
    select {{ columns | join(', ') }}
    from {{ model }}
    {%- if 'snapshot_month' in columns %}
    where {{ in_months_of_run() }}
    {%- endif %}
    group by {{ columns | join(', ') }}
    having count(*) > 1
{% endtest %}
