-- A credential for a unit counts for all units below it.
select distinct
    credential.tenant_id,
    credential.provider_id,
    unit.service_unit_id,
    credential.valid_from,
    coalesce(credential.valid_to, cast('9999-12-31' as date)) as valid_to
from {{ ref('int_credentials') }} as credential
inner join {{ ref('int_service_units') }} as top
    on credential.tenant_id = top.tenant_id
    and credential.service_unit_id = top.service_unit_id
inner join {{ ref('int_service_units') }} as unit
    on top.tenant_id = unit.tenant_id
    and starts_with(unit.path, top.path)
