-- CM-PLAUS-005: words of a sender that no word list explains. Readers note them under these reasons; a word that the contract
-- does not take at all keeps its row in quarantine.
{%- set reasons = ['unknown_word'] %}
with words as (
    select tenant_id, feed, '' as entity, rows as found_rows
    from {{ source('raw', 'notice_reason') }}
    where reason in ({% for reason in reasons %}'{{ reason }}'{{ ', ' if not loop.last }}{% endfor %})
    union all
    select held.tenant_id, held.feed, held.entity, held.rows
    from {{ source('raw', 'quarantine_reason') }} as held
    inner join (
        select tenant_id, feed, entity, sum(rows_read) as all_rows
        from {{ source('raw', 'batch') }}
        group by tenant_id, feed, entity
    ) as entities
        on held.tenant_id = entities.tenant_id
        and held.feed = entities.feed
        and held.entity = entities.entity
    where held.reason = 'valid_values' and {{ is_material('held.rows', 'entities.all_rows') }}
)

select
    tenant_id,
    'CM-PLAUS-005' as code,
    feed,
    '' as other_feed,
    entity,
    cast(null as date) as found_day,
    found_rows,
    cast(null as decimal(18, 4)) as found_amount
from words
