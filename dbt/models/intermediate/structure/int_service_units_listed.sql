with listed as (
    {{ collapse(ref('stg_service_units'), 'service_unit', 'service_unit_id',
        ['parent_service_unit_id', 'organization_id', 'name', 'unit_type', 'time_zone', 'staffed_beds',
         'billing_profile', 'is_active'], winner_only=['parent_service_unit_id']) }}
),

referenced as (
    {{ referenced_ids('service_unit_id', ['provider_service_units', 'appointments', 'encounters', 'charges', 'claims',
        'slots', 'staff_shifts', 'bed_movements', 'patient_payments', 'referrals', 'authorizations',
        ['bed_movements', 'from_service_unit_id'], ['service_units', 'parent_service_unit_id'],
        ['service_unit_placements', 'parent_service_unit_id']]) }}
),

organizations as (
    {{ collapse(ref('stg_organizations'), 'organization', 'organization_id', ['time_zone']) }}
),

members as (
    select
        tenant_id,
        service_unit_id,
        parent_service_unit_id,
        organization_id,
        name,
        unit_type,
        time_zone,
        staffed_beds,
        billing_profile,
        coalesce(is_active, true) as is_active,
        true as is_listed
    from listed
    union all
    select
        referenced.tenant_id,
        referenced.service_unit_id,
        null,
        null,
        'Unlisted ' || referenced.service_unit_id,
        'clinic',
        null,
        null,
        null,
        true,
        false
    from referenced
    left join listed
        on referenced.tenant_id = listed.tenant_id
        and referenced.service_unit_id = listed.service_unit_id
    where listed.service_unit_id is null
    union all
    select tenant_id, 'unknown', null, null, 'Not recorded', 'clinic', null, null, null, true, false
    from {{ ref('stg_tenants') }}
)

select
    members.tenant_id,
    members.service_unit_id,
    nullif(members.parent_service_unit_id, members.service_unit_id) as parent_service_unit_id,
    members.organization_id,
    members.name,
    members.unit_type,
    members.time_zone,
    organizations.time_zone as organization_time_zone,
    members.staffed_beds,
    members.billing_profile,
    members.is_active,
    members.is_listed
from members
left join organizations
    on members.tenant_id = organizations.tenant_id
    and members.organization_id = organizations.organization_id
order by 1, 2
