{#- What stands outside a credential is known only of tenants whose feeds bring credentials. -#}
with visits as (
    select
        tenant_id,
        'visit' as gap_kind,
        encounter_id as gap_id,
        encounter_id,
        patient_id,
        service_unit_key,
        service_unit_id,
        provider_id,
        encounter_date as gap_date,
        cast(null as decimal(18, 4)) as billed_amount,
        source_system,
        source_position
    from {{ ref('fct_encounters') }}
    where is_encounter
),

lines as (
    select
        tenant_id,
        'charge' as gap_kind,
        charge_line_id as gap_id,
        encounter_id,
        patient_id,
        service_unit_key,
        service_unit_id,
        provider_id,
        service_date as gap_date,
        billed_amount,
        source_system,
        source_position
    from {{ ref('fct_charge_lines') }}
    where billed_amount <> 0
),

services as (
    select * from visits
    union all
    select * from lines
)

select
    service.tenant_id,
    service.gap_kind,
    service.gap_id,
    service.encounter_id,
    service.patient_id,
    service.service_unit_key,
    service.service_unit_id,
    {{ entity_key('service.provider_id', 'service.tenant_id') }} as provider_key,
    service.provider_id,
    service.gap_date,
    service.billed_amount,
    service.source_system,
    service.source_position
from services as service
inner join (select distinct tenant_id from {{ ref('int_credentials') }}) as credentialed
    on service.tenant_id = credentialed.tenant_id
left join {{ ref('int_credentialed_units') }} as credential
    on service.tenant_id = credential.tenant_id
    and service.provider_id = credential.provider_id
    and service.service_unit_id = credential.service_unit_id
    and service.gap_date between credential.valid_from and credential.valid_to
where credential.tenant_id is null
    and service.provider_id <> 'unknown'
    and service.service_unit_id <> 'unknown'
    and service.gap_date is not null
order by service.tenant_id, service.gap_date
