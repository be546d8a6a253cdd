-- What closing a month needs of each profile: dates, and flags of the filled fields.
select
    customer_id,
    coalesce(nullif(lower(trim(source)), ''), 'unknown') as source,
    created_at,
    cast(timezone('{zone}', timezone('UTC', created_at)) as date) as created_date,
    cast(timezone('{zone}', timezone('UTC', deleted_at)) as date) as left_date,
    coalesce(not regexp_full_match(first_name, '(?is)\s*(?:{placeholders})?\s*'), false) as has_first_name,
    coalesce(not regexp_full_match(last_name, '(?is)\s*(?:{placeholders})?\s*'), false) as has_last_name,
    case when birth_date not in {birth_dates} then birth_date end as birth_date,
    coalesce(not regexp_full_match(gender, '(?is)\s*(?:{placeholders})?\s*'), false) as has_gender,
    coalesce(not regexp_full_match(job_title, '(?is)\s*(?:{placeholders})?\s*'), false) as has_job_title,
    coalesce(
        not regexp_full_match(email, '(?is)\s*(?:{placeholders}|(?:{local_parts})(?:@.*)?)?\s*'), false
    ) as has_email,
    coalesce(not regexp_full_match(phone, '(?is)\s*(?:{placeholders})?\s*'), false) as has_phone,
    coalesce(not regexp_full_match(address_line, '(?is)\s*(?:{placeholders})?\s*'), false)
    and coalesce(not regexp_full_match(postal_code, '(?is)\s*(?:{placeholders})?\s*'), false)
    and coalesce(not regexp_full_match(city, '(?is)\s*(?:{placeholders})?\s*'), false) as has_postal_address,
    coalesce(not regexp_full_match(income_band, '(?is)\s*(?:{placeholders})?\s*'), false) as has_income_band,
    coalesce(not regexp_full_match(interests, '(?is)\s*(?:{placeholders})?\s*'), false) as has_interests
from read_parquet('{customers}')
