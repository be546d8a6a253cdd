-- Grain: customer.
with customers as (

    select * from {{ ref('int_coordinates_to_judge') }}

),

disposable_domains as (

    select * from {{ ref('disposable_domains') }}

),

marked as (

    select
        customer_id,
        case when {{ is_filled('email') }} then email end as filled_email,
        {{ matches_fully('email', email_pattern()) }} as is_plain
    from customers

),

-- Only what is no address as it stands is stripped: that costs more than all the rules.
stripped as (

    select
        customer_id,
        is_plain,
        case when is_plain then filled_email else {{ strip_blanks('filled_email') }} end as address
    from marked

),

shaped as (

    select
        customer_id,
        address,
        {{ lower_case('address') }} as email_address,
        case
            when is_plain or {{ matches_fully('address', email_pattern()) }} then 'plain'
            when {{ matches_fully('address', international_email_pattern()) }} then 'international'
        end as shape
    from stripped

),

-- In a domain the Turkish İ is no i, which is its small letter in the address.
with_domain as (

    select
        customer_id,
        email_address,
        shape,
        case shape
            when 'plain' then {{ text_after('email_address', '@') }}
            when 'international' then {{ lower_case("replace(" ~ text_after('address', '@') ~ ", 'İ', 'ı')") }}
        end as domain
    from shaped

),

-- A domain of the list stands for all below it; those of the list have two, three or four labels.
four_labels as (

    select
        *,
        case when domain like '%.%.%.%.%' then {{ last_parts('domain', '.', 4) }} else domain end as last_four
    from with_domain

),

three_labels as (

    select
        *,
        {{ text_after('last_four', '.') }} as last_three
    from four_labels

),

judged as (

    select
        addresses.customer_id,
        addresses.email_address,
        addresses.domain,
        case
            when addresses.email_address is null then null
            when addresses.domain is null then 'syntax'
            when {{ is_special_use_domain('addresses.domain') }} then 'special_domain'
            when
                {{ is_too_long_email('addresses.email_address', 'addresses.domain') }}
                or {{ is_no_mail_domain('addresses.domain') }}
                then 'syntax'
            when coalesce(of_two.domain, of_three.domain, of_four.domain) is not null then 'disposable_domain'
            when addresses.shape = 'international' or {{ has_punycode('addresses.domain') }} then 'international_address'
        end as email_reason
    from three_labels as addresses
    left join disposable_domains as of_two on {{ text_after('addresses.last_three', '.') }} = of_two.domain
    left join disposable_domains as of_three on addresses.last_three = of_three.domain
    left join disposable_domains as of_four on addresses.last_four = of_four.domain

),

final as (

    select
        customer_id,
        case
            when email_address is null then null
            when email_reason is null then 'valid'
            when email_reason = 'international_address' then 'untested'
            else 'invalid'
        end as email_form,
        email_reason,
        email_address,
        case when email_reason is null or email_reason = 'international_address' then domain end as email_domain
    from judged

)

select * from final
