{# Text without the white space of any script at both ends. #}
{% macro strip_blanks(text) -%}
    {{ return(adapter.dispatch('strip_blanks')(text)) }}
{%- endmacro %}

{% macro duckdb__strip_blanks(text) -%}
    trim({{ text }}, '{{ blank_characters() }}')
{%- endmacro %}

{# Unicode's White_Space property, plus the four ASCII separators that mainframe exports leave behind. #}
{% macro blank_characters() -%}
    {{- return("\u0009\u000a\u000b\u000c\u000d\u001c\u001d\u001e\u001f\u0020\u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000") -}}
{%- endmacro %}

{# The same characters as a class of a regular expression. #}
{% macro blank_pattern() -%}
    {{ return("[\\x{9}-\\x{d}\\x{1c}-\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}]") }}
{%- endmacro %}

{% macro spark__strip_blanks(text) -%}
    trim(both '{{ blank_characters() }}' from {{ text }})
{%- endmacro %}
