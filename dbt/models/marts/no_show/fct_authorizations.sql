{#- An authorisation whose last day comes within so many days of the day that the data reach expires soon. -#}
{%- set expiring_days = 30 -%}
with collapsed as (
    {{ collapse(ref('stg_authorizations'), 'authorization', 'authorization_id',
        ['patient_id', 'payer_id', 'service_unit_id', 'procedure_code', 'status', 'units_approved', 'units_used',
         'requested_at', 'decided_at', 'valid_from', 'valid_to']) }}
),

authorizations as (
    select
        collapsed.*,
        {{ current_id('collapsed', 'patient') }} as current_patient_id,
        {{ current_id('collapsed', 'payer') }} as current_payer_id,
        coalesce(collapsed.service_unit_id, 'unknown') as known_service_unit_id,
        {{ local_date('collapsed.requested_at', 'unit.time_zone') }} as requested_date,
        {{ local_date('collapsed.decided_at', 'unit.time_zone') }} as decision_date,
        {{ date_diff_days('tenant.data_as_of_date', 'collapsed.valid_to') }} as remaining_days,
        -- Units and days are of what a payer granted: a later end does not take the approval back.
        collapsed.status = 'approved'
        or (
            collapsed.status in ('expired', 'cancelled')
            and (
                coalesce(collapsed.units_approved, 0) > 0
                or collapsed.valid_from is not null
                or collapsed.valid_to is not null
            )
        ) as is_approved
    from collapsed
    {{ crosswalk_joins('collapsed', ['patient', 'payer']) }}
    inner join {{ ref('int_service_units') }} as unit
        on collapsed.tenant_id = unit.tenant_id
        and coalesce(collapsed.service_unit_id, 'unknown') = unit.service_unit_id
    inner join {{ ref('stg_tenants') }} as tenant on collapsed.tenant_id = tenant.tenant_id
),

concluded as (
    select
        *,
        case when is_approved then 'approved' else status end as outcome,
        case when is_approved then units_approved end as approved_units,
        case when is_approved then units_used end as used_units
    from authorizations
)

select
    granted.tenant_id,
    granted.authorization_id,
    granted.current_patient_id as patient_id,
    {{ service_unit_key('granted.known_service_unit_id', 'granted.tenant_id', 'granted.requested_date') }}
        as service_unit_key,
    granted.known_service_unit_id as service_unit_id,
    {{ entity_key("coalesce(granted.current_payer_id, 'unknown')", 'granted.tenant_id') }} as payer_key,
    coalesce(granted.current_payer_id, 'unknown') as payer_id,
    coalesce(payer.payer_class, 'unmapped') as payer_class,
    {{ demographics('person', 'coalesce(granted.requested_date, granted.decision_date, granted.valid_from)') }},
    coalesce(granted.procedure_code, 'unknown') as procedure_code,
    granted.status,
    granted.outcome,
    granted.outcome = 'approved' as is_approved,
    granted.outcome = 'denied' as is_denied,
    granted.outcome = 'pended' as is_pended,
    granted.outcome in ('approved', 'denied') as is_decided,
    case
        when granted.outcome in ('approved', 'denied') and granted.decision_date >= granted.requested_date
            then {{ date_diff_days('granted.requested_date', 'granted.decision_date') }}
    end as turnaround_days,
    granted.approved_units,
    granted.used_units,
    granted.approved_units - granted.used_units as left_units,
    granted.remaining_days,
    coalesce(
        granted.status = 'approved'
        and granted.remaining_days between 0 and {{ expiring_days }}
        and coalesce(granted.approved_units - granted.used_units > 0, true),
        false
    ) as is_expiring,
    granted.requested_date,
    granted.decision_date,
    granted.valid_from,
    granted.valid_to,
    granted.source_system,
    granted.source_record_id,
    granted.source_position
from concluded as granted
left join {{ ref('int_payer_classes') }} as payer
    on granted.tenant_id = payer.tenant_id
    and granted.current_payer_id = payer.payer_id
    and coalesce(granted.requested_date, granted.decision_date, granted.valid_from) between payer.valid_from and payer.valid_to
left join {{ ref('int_patients') }} as person
    on granted.tenant_id = person.tenant_id
    and granted.current_patient_id = person.patient_id
order by granted.tenant_id, granted.requested_date
