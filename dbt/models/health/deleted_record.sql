select
    tenant_id,
    source_system as feed,
    entity,
    found_by,
    count(*) as records,
    max(source_updated_at) as last_deleted_at
from {{ source('raw', 'record_deletion') }}
group by tenant_id, source_system, entity, found_by
order by tenant_id
