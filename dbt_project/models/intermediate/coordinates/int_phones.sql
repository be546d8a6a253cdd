-- Grain: customer. Can the phone be called, and take a text message?
with numbers as (

    select * from {{ ref('int_phone_numbers') }}

),

judged as (

    select
        *,
        case
            when not is_filled or kind is not null then null
            when not has_number then 'format'
            when is_of_unknown_region then 'unknown_region'
            when not has_calling_code then 'not_assigned'
            when not has_possible_length then 'length'
            else 'not_assigned'
        end as reason
    from numbers

),

final as (

    select
        customer_id,
        case
            when not is_filled then null
            when reason is null then 'valid'
            when reason = 'unknown_region' then 'untested'
            else 'invalid'
        end as phone_form,
        reason as phone_reason,
        case
            when not is_filled then null
            when kind = 'mobile' then 'valid'
            when reason = 'unknown_region' then 'untested'
            else 'invalid'
        end as sms_form,
        case when kind <> 'mobile' then 'not_mobile' else reason end as sms_reason,
        phone_number
    from judged

)

select * from final
