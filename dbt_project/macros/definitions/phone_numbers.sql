{#
    A text without the characters that only part the digits of a phone number: white space of any script, dashes, dots, slashes,
    brackets, stars, and what has no width. Its digits (full-width, Arabic-Indic, Persian) and its plus are in ASCII. Most texts
    need only a few characters looked at, which is far cheaper.
#}
{% macro without_phone_punctuation(text) -%}
    {%- set digits = "\uff10\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18\uff19"
        ~ "\u0660\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668\u0669"
        ~ "\u06f0\u06f1\u06f2\u06f3\u06f4\u06f5\u06f6\u06f7\u06f8\u06f9" -%}
    {%- set ascii = "-./()[]*" -%}
    {%- set beyond = "\u00ad\u200b\u2060\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u30fc\uff0d\uff0e\uff0f\uff08\uff09\uff3b\uff3d" -%}
    case
        when {{ matches_fully(text, '[+]?[0-9]+') }} then {{ text }}
        when {{ matches_fully(text, '[ -~]*') }} then translate({{ text }}, {{ text_literal(' ' ~ ascii) }}, '')
        else translate(
            {{ text }},
            {{ text_literal(digits ~ "\uff0b" ~ blank_characters() ~ ascii ~ beyond) }},
            {{ text_literal('0123456789' * 3 ~ '+') }}
        )
    end
{%- endmacro %}

{#
    Regular expression of a text without punctuation that holds one number, which it captures: words may stand before it, an
    extension after it.
#}
{% macro phone_text_pattern() -%}
    {{ return(
        '(?is)[^0-9]*?([+]?[0-9]+)(?:(?:[,;]*(?:e?xt(?:ensi(?:o|\u00f3|o\u0301))?n?|\u0434\u043e\u0431|anexo)[:=,]*[0-9]{1,20}'
        ~ '|(?:[,;]*(?:x|#|~|int)[:,]*|,+)[0-9]{1,9}|(?:,,|;):?[0-9]{1,15})#?)?'
    ) }}
{%- endmacro %}

{# The regions of the var `phone_regions`, in its order. #}
{% macro default_plans() -%}
    {%- set plans = [] -%}
    {%- for region in var('phone_regions') -%}
        {%- do plans.extend(numbering_plans() | selectattr('region', 'equalto', region)) -%}
    {%- endfor -%}
    {{ return(plans) }}
{%- endmacro %}

{# The regions that a country can name, those of `phone_regions` first: a long `case` finds them soonest. #}
{% macro regional_plans() -%}
    {{ return(default_plans() + (
        numbering_plans() | rejectattr('region', 'equalto', '001') | rejectattr('region', 'in', var('phone_regions')) | list
    )) }}
{%- endmacro %}

{# The regions by calling code, as pairs of the code and a list, those of `phone_regions` first. #}
{% macro plans_by_calling_code() -%}
    {%- set by_code = {} -%}
    {%- for plan in default_plans() -%}
        {%- do by_code.update({plan.calling_code: []}) -%}
    {%- endfor -%}
    {%- for plan in numbering_plans() -%}
        {%- do by_code.setdefault(plan.calling_code, []).append(plan) -%}
    {%- endfor -%}
    {{ return(by_code.items() | list) }}
{%- endmacro %}

{# The regions that share a calling code. #}
{% macro plans_of(calling_code) -%}
    {{ return(numbering_plans() | selectattr('calling_code', 'equalto', calling_code) | list) }}
{%- endmacro %}

{# Condition: a text starts with some letters. #}
{% macro starts_with_text(text, start) -%}
    substr({{ text }}, 1, {{ start | length }}) = '{{ start }}'
{%- endmacro %}

{# A dialled number without the trunk prefix of a region; null when it has none, or is no number of the region without it. #}
{% macro without_trunk_prefix(number, plan) -%}
    {%- if plan.trunk.isdecimal() -%}
        case when {{ matches_fully(number, plan.trunk ~ '(?:' ~ plan.general ~ ')') }} then substr({{ number }}, {{ plan.trunk | length + 1 }}) end
    {%- else -%}
        {%- set rest -%}
            {%- if 'trunk_and_kept' in plan -%}
                coalesce('{{ plan.put_before }}' || {{ captured(number, '(?:' ~ plan.trunk_and_kept ~ ')[0-9]*') }}, '')
                || coalesce({{ captured(number, '(?:' ~ plan.trunk ~ ')([0-9]*)') }}, '')
            {%- else -%}
                {{ captured(number, '(?:' ~ plan.trunk ~ ')([0-9]+)') }}
            {%- endif -%}
        {%- endset -%}
        case when {{ matches_fully(rest, plan.general) }} then {{ rest }} end
    {%- endif -%}
{%- endmacro %}

{# The national number of what is dialled within a region: without trunk prefix, or without a calling code that lacks its plus. #}
{% macro national_number_in(number, plan) -%}
    {%- set written -%}
        case
            when {{ starts_with_text(number, plan.calling_code) }} and not {{ matches_fully(number, plan.general) }}
                then substr({{ number }}, {{ plan.calling_code | length + 1 }})
            else {{ number }}
        end
    {%- endset -%}
    {%- if plan.trunk -%}
        coalesce({{ without_trunk_prefix(number, plan) }}, {{ written }})
    {%- else -%}
        {{ written }}
    {%- endif -%}
{%- endmacro %}

{# The calling code that international digits start with; null when there is none. No code starts with another. #}
{% macro calling_code_of(digits) -%}
    {%- set codes = plans_by_calling_code() | map('first') | list -%}
    case
        {%- for length in (1, 2, 3) %}
        when substr({{ digits }}, 1, {{ length }}) in ({% for code in codes if code | length == length %}'{{ code }}'{{ ', ' }}{% endfor %}'') then substr({{ digits }}, 1, {{ length }})
        {%- endfor %}
    end
{%- endmacro %}

{# SQL list of the regions of some plans. #}
{% macro region_list(plans) -%}
    '{{ plans | map(attribute='region') | join("', '") }}'
{%- endmacro %}

{#
    Kind of a national number, of the regions that share a calling code: `mobile` (or may be one), `fixed`,
    `other`, null when invalid.
#}
{% macro phone_kind(number, plans) -%}
    {%- if plans | length == 1 and not plans[0].leading -%}
        {{ kind_in_plan(number, plans[0]) }}
    {%- else -%}
        case
            {%- for plan in plans %}
                {%- if plan.leading %}
                when {{ matches_fully(number, '(?:' ~ plan.leading ~ ')[0-9]*') }} then {{ kind_in_plan(number, plan) }}
                {%- else %}
                {%- for kind in ('other', 'mobile', 'fixed') if plan[kind] %}
                when {{ matches_fully(number, plan.general) }} and {{ matches_fully(number, plan[kind]) }} then '{{ kind }}'
                {%- endfor %}
                {%- endif %}
            {%- endfor %}
        end
    {%- endif -%}
{%- endmacro %}

{% macro kind_in_plan(number, plan) -%}
    case
        when {{ matches_fully(number, plan.general) }}
            then
                case
                    {%- for kind in ('other', 'mobile', 'fixed') if plan[kind] %}
                    when {{ matches_fully(number, plan[kind]) }} then '{{ kind }}'
                    {%- endfor %}
                end
    end
{%- endmacro %}

{# Condition: a national number is as long as some of the region are, not counting a trunk prefix that is left. #}
{% macro has_possible_length(number, plan) -%}
    length({{ number }})
    {%- if plan.trunk.isdecimal() %}
    - case when {{ starts_with_text(number, plan.trunk) }} then {{ plan.trunk | length }} else 0 end
    {%- endif %} in ({{ plan.lengths | join(', ') }})
{%- endmacro %}
