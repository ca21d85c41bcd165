-- CM-PLAUS-002: visits, appointments and charges for which two feeds name different patients, after merges.
select
    tenant_id,
    'CM-PLAUS-002' as code,
    other_feed as feed,
    record_feed as other_feed,
    entity,
    cast(null as varchar) as source_position,
    cast(last_seen_at as date) as found_day,
    keys_in_conflict as found_rows,
    cast(null as decimal(18, 4)) as found_amount
from {{ ref('source_conflict') }}
where column_name = 'patient_id' and entity in ('encounter', 'appointment', 'charge')
