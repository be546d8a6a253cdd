{# The shares of the scorecard: each measure and its denominator. #}
{% macro quality_shares() -%}
    {{ return({
        'fill': {'n': 'n_key_fields_filled', 'of': 'n_key_values'},
        'placeholder': {'n': 'n_placeholders', 'of': 'n_values'},
        'invalid': {'n': 'n_invalid', 'of': 'n_coordinates'},
        'duplicate': {'n': 'n_duplicate', 'of': 'n_profiles'},
        'optin_no_coordinate': {'n': 'n_optin_no_coordinate', 'of': 'n_opted_in'},
    }) }}
{%- endmacro %}
