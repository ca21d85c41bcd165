-- CM-PLAUS-005: words of a sender that neither the standard nor the feed's profile knows, from one in a hundred of the rows of
-- their entity on. A word that belongs to no row (an event of a message that is not read) concerns the whole feed.
with words as (
    select
        word.tenant_id,
        word.feed,
        case when word.entity = 'record' then '' else word.entity end as entity,
        word.rows as found_rows,
        sum(word.rows) over (partition by word.tenant_id, word.feed, word.entity, word.column_name) as unknown_rows
    from {{ source('raw', 'unknown_word') }} as word
),

entities as (
    select tenant_id, feed, entity, sum(rows_read) as all_rows
    from {{ source('raw', 'batch') }}
    group by tenant_id, feed, entity
)

select
    words.tenant_id,
    'CM-PLAUS-005' as code,
    words.feed,
    '' as other_feed,
    words.entity,
    cast(null as date) as found_day,
    words.found_rows,
    cast(null as decimal(18, 4)) as found_amount
from words
left join entities
    on words.tenant_id = entities.tenant_id
    and words.feed = entities.feed
    and words.entity = entities.entity
where {{ is_material('words.unknown_rows', 'coalesce(entities.all_rows, 0)') }}
