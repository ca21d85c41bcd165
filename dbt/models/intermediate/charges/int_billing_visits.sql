-- Which visit a line is of: the one it names, else the one whose number its claim bears. A number counts only where patient and
-- days do not say otherwise. A line of another patient than the record's is of no visit.
with lines as (
    select * from {{ ref('int_billing_lines') }}
),

charged_visits as (
    select
        tenant_id,
        {{ visit_number('encounter_id') }} as visit_number,
        min(encounter_id) as encounter_id,
        min(patient_id) as patient_id,
        min(service_date) as first_day,
        max(service_date) as last_day
    from lines
    where kind = 'charge' and encounter_id is not null
    group by tenant_id, {{ visit_number('encounter_id') }}
    having count(distinct encounter_id) = 1
),

numbered as (
    select lines.tenant_id, lines.line_id, charged_visits.encounter_id
    from lines
    inner join charged_visits
        on lines.tenant_id = charged_visits.tenant_id
        and lines.claim_number = charged_visits.visit_number
    where
        coalesce(lines.patient_id = charged_visits.patient_id, true)
        and coalesce(lines.claim_from_date <= charged_visits.last_day, true)
        and coalesce(charged_visits.first_day <= lines.claim_to_date, true)
),

named as (
    select
        lines.*,
        coalesce(
            case when charged.encounter_id is not null or numbered.encounter_id is null then lines.encounter_id end,
            numbered.encounter_id
        ) as visit_id
    from lines
    left join (
        select tenant_id, encounter_id from lines where kind = 'charge' and encounter_id is not null
        group by tenant_id, encounter_id
    ) as charged
        on lines.tenant_id = charged.tenant_id
        and lines.encounter_id = charged.encounter_id
    left join numbered
        on lines.tenant_id = numbered.tenant_id
        and lines.line_id = numbered.line_id
),

-- The best feed that knows the visit's patient says whose visit it is.
patients as (
    select tenant_id, visit_id, patient_id
    from (
        select
            tenant_id,
            visit_id,
            patient_id,
            row_number() over (
                partition by tenant_id, visit_id order by precedence, kind, source_system, line_id
            ) as choice
        from named
        where visit_id is not null and patient_id is not null
    ) as ranked
    where choice = 1
),

placed as (
    select
        named.*,
        coalesce(named.patient_id, patients.patient_id) as known_patient_id,
        case
            when named.patient_id is null or patients.patient_id is null or named.patient_id = patients.patient_id
                then named.visit_id
        end as billed_visit_id
    from named
    left join patients
        on named.tenant_id = patients.tenant_id
        and named.visit_id = patients.visit_id
),

ranked as (
    select
        placed.*,
        kind || '/' || source_system as source,
        -- Charges before claims, where the record does not decide.
        case when billed_visit_id is not null then
            dense_rank() over (partition by tenant_id, billed_visit_id order by precedence, kind, source_system)
        end as source_rank,
        min(case when has_own_date then 1 else 0 end) over (partition by tenant_id, billed_visit_id) = 1 as is_dated
    from placed
)

select
    tenant_id,
    line_id,
    kind,
    source_system,
    source,
    precedence,
    charge_id,
    line_control_number,
    claim_id,
    billed_visit_id as visit_id,
    known_patient_id as patient_id,
    billed_code,
    modifiers,
    billed_amount,
    service_date,
    claim_from_date,
    claim_to_date,
    source_rank,
    case when billed_visit_id is not null then
        max(source_rank) over (partition by tenant_id, billed_visit_id)
    else 1 end as sources,
    -- Visits are compared day by day, whole where a claim does not date its lines.
    case when is_dated then service_date else cast('1900-01-01' as date) end as compared_day,
    source_position
from ranked
order by tenant_id, visit_id
