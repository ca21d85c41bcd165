with entries as (
    {{ collapse(ref('stg_ledger_entries'), 'ledger_entry', 'ledger_entry_id',
        ['account_code', 'account_name', 'entry_type', 'service_unit_id', 'entry_amount', 'entry_date']) }}
)

select
    {{ entity_key('entries.ledger_entry_id', 'entries.tenant_id') }} as ledger_entry_key,
    entries.tenant_id,
    entries.ledger_entry_id,
    entries.account_code,
    entries.account_name,
    entries.entry_type,
    units.service_unit_id,
    {{ service_unit_key('units.service_unit_id', 'entries.tenant_id', 'entries.entry_date') }} as service_unit_key,
    entries.entry_date,
    {{ money('entries.entry_amount') }} as entry_amount,
    entries.source_system,
    entries.source_record_id,
    entries.source_position
from entries
inner join {{ ref('int_service_units') }} as units
    on entries.tenant_id = units.tenant_id
    and coalesce(entries.service_unit_id, 'unknown') = units.service_unit_id
order by entries.tenant_id, entries.entry_date
