-- Grain: domain.
with mail_domains as (

    select * from {{ source('raw', 'mail_domains') }}

),

spelled as (

    select
        {{ lower_case(strip_blanks('domain')) }} as domain,
        {{ lower_case(strip_blanks('accepts_mail')) }} as accepts_mail,
        checked_at
    from mail_domains

),

-- Two spellings of a domain are two rows of the raw table.
ranked as (

    select
        domain,
        case when accepts_mail in ('yes', 'true') then true when accepts_mail in ('no', 'false') then false end as accepts_mail,
        checked_at,
        row_number() over (partition by domain order by checked_at desc, accepts_mail desc) as place
    from spelled

),

final as (

    select
        domain,
        accepts_mail,
        checked_at
    from ranked
    where place = 1

)

select * from final
