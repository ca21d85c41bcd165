-- CM-PLAUS-002: visits, appointments and charges for which two feeds name different patients, after merges.
select
    conflict.tenant_id,
    'CM-PLAUS-002' as code,
    conflict.other_feed as feed,
    conflict.record_feed as other_feed,
    conflict.entity,
    cast(null as varchar) as source_position,
    {{ local_date('conflict.last_seen_at', 'tenant.time_zone') }} as found_day,
    conflict.keys_in_conflict as found_rows,
    cast(null as decimal(18, 4)) as found_amount
from {{ ref('source_conflict') }} as conflict
inner join {{ ref('dim_tenants') }} as tenant
    on conflict.tenant_id = tenant.tenant_id
where conflict.column_name = 'patient_id' and conflict.entity in ('encounter', 'appointment', 'charge')
