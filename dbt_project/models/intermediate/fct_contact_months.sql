-- Grain: customer × closed month, for the profiles in the base at the close. States, reasons and dates: no coordinate.
with months as (

    select * from {{ ref('int_contact_months').include(database=false) }}

),

final as (

    select
        snapshot_month,
        as_of_date,
        customer_id,
        source,
        status,
        registered_within_12m,
        {% for channel in var('channels') -%}
            {{ channel }}_stage,
            {{ channel }}_reason,
            case
                when {{ channel }}_stage in ('no_coordinate', 'invalid', 'bounced') then 'no'
                when {{ channel }}_stage = 'untested' then 'untested'
                else 'yes'
            end as {{ channel }}_is_reachable,
            {{ channel }}_is_opted_in,
            {{ local_date(greatest_known(channel ~ '_opt_in_at', channel ~ '_opt_out_at')) }} as {{ channel }}_consent_date,
            case when {{ channel }}_is_opted_in then {{ channel }}_legal_basis end as {{ channel }}_legal_basis,
            case when {{ channel }}_is_opted_in then {{ channel }}_has_proof end as {{ channel }}_has_proof,
            coalesce({{ channel }}_is_opted_in and {{ channel }}_is_for_other, false) as {{ channel }}_consent_is_for_other,
        {% endfor -%}
        {{ is_reconstructed() }} as is_reconstructed,
        definition_version
    from months
    where is_in_base

)

select * from final
