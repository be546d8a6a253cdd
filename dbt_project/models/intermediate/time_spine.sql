-- Grain: day, 2000 to 2099. Tools of the semantic layer join to it; it holds nothing of the base.
with digits as (

    {% for digit in range(10) -%}
        select {{ digit }} as digit
        {{ 'union all' if not loop.last }}
    {% endfor %}

),

days as (

    select ones.digit + 10 * tens.digit + 100 * hundreds.digit + 1000 * thousands.digit + 10000 * ten_thousands.digit as n_days
    from digits as ones
    cross join digits as tens
    cross join digits as hundreds
    cross join digits as thousands
    cross join digits as ten_thousands
    where ten_thousands.digit < 4

),

final as (

    select {{ date_plus_days("date '2000-01-01'", 'n_days') }} as date_day
    from days
    where n_days < 36525

)

select * from final
