-- The diagnosis that a charge, claim or visit lists first. What states none takes that of what belongs to it: a claim that of its
-- charges, a visit that of its claims, then of its charges. Admitting diagnoses, reasons for the visit, external causes and problem
-- lists are never first.
with listed as (
    select *
    from {{ ref('int_diagnoses') }}
    where diagnosis_type in ('principal', 'secondary', 'unknown')
),

owned as (
    select listed.*, owner_kind as kind, owner_id as of_id, 1 as preference from listed where owner_kind <> 'patient'
    union all
    select listed.*, 'claim', claim_id, 2 from listed where owner_kind = 'charge' and claim_id is not null
    union all
    select listed.*, 'visit', encounter_id, case owner_kind when 'claim' then 2 else 3 end
    from listed
    where owner_kind in ('claim', 'charge') and encounter_id is not null
),

ranked as (
    select
        owned.*,
        row_number() over (
            partition by tenant_id, kind, of_id
            order by preference, listing_order
        ) as choice
    from owned
)

select
    tenant_id,
    kind as owner_kind,
    of_id as owner_id,
    source_system,
    diagnosis_id,
    diagnosis_category,
    diagnosis_chapter
from ranked
where choice = 1
order by tenant_id, owner_kind, owner_id
