{#- Days after which a referral without an end date has lapsed, unless the project is built with another number. -#}
{%- set expiry_days = var('referral_expiry_days', 90) -%}
with collapsed as (
    {{ collapse(ref('stg_referrals'), 'referral', 'referral_id',
        ['patient_id', 'referral_partner_id', 'referring_provider_id', 'service_unit_id', 'visit_type_id', 'status',
         'ordered_at', 'authorized_at', 'expires_at']) }}
),

-- An appointment that only asked for a time has not been scheduled yet.
booked as (
    select
        tenant_id,
        referral_id,
        min(booked_at) as first_booked_at,
        min(booked_date) as first_booked_date,
        min(case when is_completed then appointment_date end) as first_visit_date
    from {{ ref('fct_appointments') }}
    where referral_id is not null and is_appointment and scheduled_start_at is not null
    group by tenant_id, referral_id
),

referrals as (
    select
        collapsed.*,
        {{ current_id('collapsed', 'patient') }} as current_patient_id,
        coalesce(collapsed.service_unit_id, 'unknown') as known_service_unit_id,
        coalesce(collapsed.visit_type_id, 'unknown') as known_visit_type_id,
        {{ local_date('collapsed.ordered_at', 'unit.time_zone') }} as ordered_date,
        {{ local_date('collapsed.authorized_at', 'unit.time_zone') }} as authorized_date,
        coalesce(
            {{ local_date('collapsed.expires_at', 'unit.time_zone') }},
            {{ add_days(local_date('collapsed.ordered_at', 'unit.time_zone'), expiry_days) }}
        ) as expiry_date,
        tenant.data_as_of_date,
        booked.first_booked_date,
        booked.first_visit_date,
        booked.referral_id is not null as has_appointment
    from collapsed
    {{ crosswalk_joins('collapsed', ['patient']) }}
    inner join {{ ref('int_service_units') }} as unit
        on collapsed.tenant_id = unit.tenant_id
        and coalesce(collapsed.service_unit_id, 'unknown') = unit.service_unit_id
    inner join {{ ref('stg_tenants') }} as tenant on collapsed.tenant_id = tenant.tenant_id
    left join booked
        on collapsed.tenant_id = booked.tenant_id
        and collapsed.referral_id = booked.referral_id
),

-- A later step counts the earlier ones in: what was attended had been scheduled, even if the record does not hold it.
judged as (
    select
        *,
        status = 'reported' as is_reported,
        status in ('attended', 'reported') or first_visit_date is not null as is_attended,
        status in ('scheduled', 'attended', 'reported') or has_appointment as is_scheduled,
        status in ('authorized', 'scheduled', 'attended', 'reported')
        or authorized_at is not null
        or has_appointment as is_authorized
    from referrals
),

concluded as (
    select
        *,
        case
            when is_attended then 'attended'
            when status = 'out_of_network' then 'out_of_network'
            when status = 'cancelled' then 'cancelled'
            when status = 'expired' or expiry_date < data_as_of_date then 'expired'
            else 'open'
        end as outcome
    from judged
)

select
    referral.tenant_id,
    referral.referral_id,
    referral.current_patient_id as patient_id,
    {{ service_unit_key('referral.known_service_unit_id', 'referral.tenant_id', 'referral.ordered_date') }}
        as service_unit_key,
    referral.known_service_unit_id as service_unit_id,
    {{ demographics('person', 'referral.ordered_date') }},
    {{ entity_key('referral.known_visit_type_id', 'referral.tenant_id') }} as visit_type_key,
    referral.known_visit_type_id as visit_type_id,
    coalesce(referral.referral_partner_id, 'unknown') as referral_partner_id,
    coalesce(referral.referring_provider_id, 'unknown') as referring_provider_id,
    referral.status,
    referral.outcome,
    case
        when referral.is_reported then '5 reported'
        when referral.is_attended then '4 attended'
        when referral.is_scheduled then '3 scheduled'
        when referral.is_authorized then '2 authorized'
        else '1 ordered'
    end as furthest_stage,
    referral.is_authorized,
    referral.is_scheduled,
    referral.is_attended,
    referral.is_reported,
    referral.outcome in ('attended', 'out_of_network') as has_known_outcome,
    referral.outcome <> 'open' as is_closed,
    case
        when referral.authorized_date >= referral.ordered_date
            then {{ date_diff_days('referral.ordered_date', 'referral.authorized_date') }}
    end as referral_to_authorization_days,
    case
        when referral.first_booked_date >= referral.ordered_date
            then {{ date_diff_days('referral.ordered_date', 'referral.first_booked_date') }}
    end as referral_to_schedule_days,
    case
        when referral.first_visit_date >= referral.ordered_date
            then {{ date_diff_days('referral.ordered_date', 'referral.first_visit_date') }}
    end as referral_to_visit_days,
    referral.ordered_date,
    referral.expiry_date,
    referral.first_booked_date,
    referral.first_visit_date,
    referral.source_system,
    referral.source_record_id,
    referral.source_position
from concluded as referral
left join {{ ref('int_patients') }} as person
    on referral.tenant_id = person.tenant_id
    and referral.current_patient_id = person.patient_id
order by referral.tenant_id, referral.ordered_date
