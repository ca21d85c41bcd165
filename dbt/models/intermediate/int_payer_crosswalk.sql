-- X12 feeds know a payer by its electronic identifier, PM systems by their own. Two identifiers of one feed stay two.
with listed as (
    select
        payers.tenant_id,
        payers.source_system,
        payers.payer_id,
        payers.electronic_payer_id,
        row_number() over (
            partition by payers.tenant_id, payers.electronic_payer_id
            order by
                case when payers.payer_id = payers.electronic_payer_id then 1 else 0 end,
                coalesce(ranking.precedence, 999),
                payers.effective_from desc,
                payers.payer_id
        ) as choice
    from {{ ref('stg_payers') }} as payers
    left join {{ ref('stg_system_of_record') }} as ranking
        on payers.tenant_id = ranking.tenant_id
        and payers.source_system = ranking.source_system
        and ranking.entity = 'payer'
    where payers.electronic_payer_id is not null
),

record as (
    select tenant_id, source_system, payer_id, electronic_payer_id from listed where choice = 1
),

aliases as (
    select listed.tenant_id, listed.payer_id, record.payer_id as current_payer_id
    from listed
    inner join record
        on listed.tenant_id = record.tenant_id
        and listed.electronic_payer_id = record.electronic_payer_id
        and listed.source_system <> record.source_system
    union
    select tenant_id, electronic_payer_id, payer_id from record
)

select
    aliases.tenant_id,
    aliases.payer_id,
    min(aliases.current_payer_id) as current_payer_id
from aliases
left join record
    on aliases.tenant_id = record.tenant_id
    and aliases.payer_id = record.payer_id
where record.payer_id is null
group by aliases.tenant_id, aliases.payer_id
order by 1, 2
