{#
    The waterfall: where a profile stops on its way to being contactable on a channel, in the order in which the reasons are
    asked for. From `no_optin` on, the profile can be reached.
#}
{% macro stages() -%}
    {{ return(['no_coordinate', 'invalid', 'bounced', 'untested', 'no_optin', 'other_coordinate', 'contactable']) }}
{%- endmacro %}

{# Of the stages on all channels of a profile, the furthest: that of the person. #}
{% macro furthest_stage(relation) -%}
    case
        {% for stage in stages()[1:] | reverse -%}
            when '{{ stage }}' in (
                {%- for channel in var('channels') %}{{ relation }}.{{ channel }}_stage{{ ', ' if not loop.last }}{% endfor -%}
            ) then '{{ stage }}'
        {% endfor -%}
        else 'no_coordinate'
    end
{%- endmacro %}

{# How many profiles a condition holds for, in rows that each stand for `n_profiles`. #}
{% macro n_profiles_where(condition) -%}
    cast(sum(case when {{ condition }} then n_profiles else 0 end) as {{ dbt.type_bigint() }})
{%- endmacro %}

{#
    For each channel, what says whether its coordinate has a form that can be reached. SMS has rules of its own on the telephone
    number; a coordinate without rules is valid when it is filled in.
#}
{% macro form_of(channel) -%}
    {%- set coordinate = var('channels')[channel] -%}
    {%- set name = {'email': 'email', 'phone': 'sms' if channel == 'sms' else 'phone', 'postal_address': 'post'}.get(coordinate) -%}
    {{ return(name) }}
{%- endmacro %}

{# Event types by which a coordinate says that it cannot be reached, the weightiest last. #}
{% macro failure_types() -%}
    {{ return(['undeliverable', 'hard_bounce', 'complaint']) }}
{%- endmacro %}

{#
    The coordinate that a consent names, without what does not matter to compare it: case, blanks, punctuation, in a telephone
    number words and extension. In two steps, since a number is found in a text without punctuation.
#}
{% macro tidied_coordinate() -%}
    case
        when channel in ({{ quoted_list(channels_of('phone')) }})
            then {{ without_phone_punctuation("replace(coordinate, '(0)', '')") }}
        else {{ lower_case(strip_blanks('coordinate')) }}
    end
{%- endmacro %}

{% macro named_coordinate() -%}
    nullif(
        case
            when channel in ({{ quoted_list(channels_of('phone')) }})
                then {{ without_leading(
                    "replace(coalesce(" ~ captured('tidied_coordinate', phone_text_pattern()) ~ ", tidied_coordinate), '+', '')", '0'
                ) }}
            else tidied_coordinate
        end,
        ''
    )
{%- endmacro %}

{#
    Whether a consent names another coordinate than the profile has now; null when it names none, or when the two cannot be
    compared (postal addresses are not written the same way twice). Where the profile has none, any other comes later. A national
    telephone number, of which trunk zeros are taken off, ends the international one, which is longer by a country code of one to
    three digits and a plus sign.
#}
{% macro names_another(coordinate, named) -%}
    {%- if coordinate == 'email' -%}
        case when {{ named }} is not null then coalesce({{ named }} <> coordinates.email_address, true) end
    {%- elif coordinate == 'phone' -%}
        case
            when {{ named }} is not null
                then coalesce(
                    right(coordinates.phone_number, length({{ named }})) <> {{ named }}
                    or length({{ named }}) < length(coordinates.phone_number) - 4,
                    true
                )
        end
    {%- else -%}
        cast(null as {{ dbt.type_boolean() }})
    {%- endif -%}
{%- endmacro %}

{# Whether a coordinate changed since the month before was closed. #}
{% macro has_changed(coordinate) -%}
    coalesce({{ coordinate }}_changed_at <> opening_{{ coordinate }}_changed_at, {{ coordinate }}_changed_at is not null)
{%- endmacro %}

{# Whether the latest failed delivery was to the present coordinate. #}
{% macro has_failed(coordinate) -%}
    coalesce({{ coordinate }}_failed_at >= {{ coordinate }}_changed_at, {{ coordinate }}_failed_at is not null)
{%- endmacro %}

{# When the profile's coordinate changed, if that was before an instant; a coordinate without rules never does. #}
{% macro changed_before(coordinate, instant) -%}
    {%- if form_of(channels_of(coordinate)[0]) -%}
        case when coordinates.{{ coordinate }}_changed_at < {{ instant }} then coordinates.{{ coordinate }}_changed_at end
    {%- else -%}
        cast(null as {{ dbt.type_timestamp() }})
    {%- endif -%}
{%- endmacro %}

{# The latest failed delivery, of the month or of those before. #}
{% macro latest_failure(coordinate) -%}
    {%- set latest = namespace(sql='opening_' ~ coordinate ~ '_failed_at') -%}
    {%- for type in failure_types() -%}
        {%- set latest.sql = greatest_known(latest.sql, coordinate ~ '_' ~ type ~ '_at') -%}
    {%- endfor -%}
    {{ latest.sql }}
{%- endmacro %}

{#
    Whether the row of soft bounces of the months before goes on: the address is the same, and nothing arrived since the row began.
    What arrived before, and became known late, does not end it.
#}
{% macro row_goes_on() -%}
    coalesce(latest_arrived_at < opening_soft_bounces_since, latest_arrived_at is null)
    and not {{ has_changed('email') if 'email' in coordinates() else 'false' }}
{%- endmacro %}

{% macro has_soft_bounces(coordinate) -%}
    {{ 'email_soft_bounces >= ' ~ var('soft_bounces_in_a_row') if coordinate == 'email' else 'false' }}
{%- endmacro %}

{# Whether the opt-in that became known in the month is the latest one. #}
{% macro has_new_opt_in(channel) -%}
    {%- set latest = 'latest_' ~ channel ~ '_opt_in_at' -%}
    coalesce({{ latest }} >= opening_{{ channel }}_opt_in_at, {{ latest }} is not null)
{%- endmacro %}

{# Whether the form of the channel's coordinate can be reached: `valid`, `invalid`, `untested`, null without a coordinate. #}
{% macro channel_form(channel) -%}
    {%- if form_of(channel) -%}
        coordinates.{{ form_of(channel) }}_form
    {%- else -%}
        case when customer_months.has_{{ var('channels')[channel] }} then 'valid' end
    {%- endif -%}
{%- endmacro %}

{# Why it cannot. #}
{% macro channel_form_reason(channel) -%}
    {{ 'coordinates.' ~ form_of(channel) ~ '_reason' if form_of(channel) else 'cast(null as ' ~ dbt.type_string() ~ ')' }}
{%- endmacro %}
