{#
    An address in ASCII: words with dots between them (RFC 5322 section 3.2.3, dot-atom), `@`, and a host name (RFC 1123 section
    2.1), whose last label ends with a letter, as all top-level domains do. The quoted words and the bracketed IP addresses of
    RFC 5321 are left out: nobody can be told to write to them. `\x{27}` is the apostrophe, which
    literals would have to escape.
#}
{% macro email_pattern() -%}
    {%- set word = '[A-Za-z0-9!#$%&\\x{27}*+/=?^_`{|}~-]+' -%}
    {%- set label = '[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?' -%}
    {{ return(word ~ '(?:\\.' ~ word ~ ')*@(?:' ~ label ~ '\\.)*' ~ last_host_label()) }}
{%- endmacro %}

{#
    The same with letters beyond ASCII before the `@` (RFC 6531 section 3.3) or after it (RFC 5890): any character but blanks,
    controls, invisible format characters and private use.
#}
{% macro international_email_pattern() -%}
    {%- set never = '\\p{Z}\\p{Cc}\\p{Cf}\\p{Co}' -%}
    {%- set word = '[^"(),.:;<>@\\[\\\\\\]' ~ never ~ ']+' -%}
    {%- set inner = '[^\\x{0}-,./:-@\\[-`{-\\x{7f}' ~ never ~ ']' -%}
    {%- set outer = '[^\\x{0}-/:-@\\[-`{-\\x{7f}' ~ never ~ ']' -%}
    {%- set label = outer ~ '(?:' ~ inner ~ '*' ~ outer ~ ')?' -%}
    {%- set beyond_ascii = '[^\\x{0}-\\x{7f}' ~ never ~ ']' -%}
    {%- set last = '(?:' ~ last_host_label() ~ '|' ~ inner ~ '*' ~ beyond_ascii ~ inner ~ '*)' -%}
    {{ return(word ~ '(?:\\.' ~ word ~ ')*@(?:' ~ label ~ '\\.)*' ~ last) }}
{%- endmacro %}

{% macro last_host_label() -%}
    {{ return('(?:[A-Za-z0-9][A-Za-z0-9-]*)?[A-Za-z]') }}
{%- endmacro %}

{#
    More than 254 characters in all (RFC 5321 section 4.5.3.1.3), 64 before the `@` (4.5.3.1.1) or 63 between two dots after it
    (RFC 1035 section 2.3.1). A shorter address, as nearly all are, is not looked at twice.
#}
{% macro is_too_long_email(address, domain) -%}
    length({{ address }}) > 64
    and (
        length({{ address }}) > 254
        or length({{ address }}) - length({{ domain }}) > 65
        or {{ matches_fully(domain, '.*[a-z0-9-]{64}.*') }}
    )
{%- endmacro %}

{#
    A domain of one label has no mail. A label with hyphens in the third and fourth place is reserved (RFC 5890 section 2.3.1),
    those of internationalised names apart.
#}
{% macro is_no_mail_domain(domain) -%}
    ({{ domain }} not like '%.%' and {{ matches_fully(domain, '[a-z0-9-]*') }})
    or ({{ domain }} like '%--%' and {{ matches_fully(domain, '(?:.*\\.)?(?:[a-wyz0-9][a-z0-9-]|x[a-mo-z0-9-])--.*') }})
{%- endmacro %}

{# A label in Punycode stands for letters beyond ASCII (RFC 5890 section 2.3.2.1). #}
{% macro has_punycode(domain) -%}
    ({{ domain }} like '%--%' and {{ matches_fully(domain, '(?:.*\\.)?xn--.*') }})
{%- endmacro %}

{# Names of IANA's special-use registry (RFC 6761, 6762, 7686) that no public mail server answers for. #}
{% macro is_special_use_domain(domain) -%}
    {%- set names = special_use_domains() -%}
    {{ domain }} in ({{ quoted_list(names) }})
    {%- for name in names %}
        or {{ domain }} like '%.{{ name }}'
    {%- endfor %}
{%- endmacro %}

{% macro special_use_domains() -%}
    {{ return(['arpa', 'invalid', 'local', 'localhost', 'onion', 'test']) }}
{%- endmacro %}
