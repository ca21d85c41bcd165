-- In a visit the record says what was billed. A feed behind it adds lines only where it tells of everything that the record does, and
-- of more money; else the two tell one visit differently, and the record stands. What no visit links is one service by patient, day,
-- code and amount, one to one.
with lines as materialized (
    select * from {{ ref('int_billing_visits') }}
),

matches as materialized (
    select tenant_id, source, line_id, min(record_line_id) as record_line_id, min(match_method) as match_method
    from {{ ref('int_billing_matches') }}
    group by tenant_id, source, line_id
),

record_days as (
    select
        told.tenant_id,
        told.source,
        told.visit_id,
        lines.compared_day,
        min(lines.line_id) as record_line_id,
        sum(lines.billed_amount) as billed_amount,
        count(case when matched.record_line_id is null then 1 end) as unmatched
    from (select distinct tenant_id, source, visit_id from lines where source_rank > 1) as told
    inner join lines
        on told.tenant_id = lines.tenant_id
        and told.visit_id = lines.visit_id
        and lines.source_rank = 1
    left join (
        select distinct tenant_id, source, record_line_id from {{ ref('int_billing_matches') }}
    ) as matched
        on told.tenant_id = matched.tenant_id
        and told.source = matched.source
        and lines.line_id = matched.record_line_id
    group by told.tenant_id, told.source, told.visit_id, lines.compared_day
),

in_visits as (
    select
        lines.*,
        coalesce(matches.record_line_id, record_days.record_line_id) as record_line_id,
        matches.match_method,
        matches.line_id is null and (
            record_days.record_line_id is null
            or (record_days.unmatched = 0 and record_days.billed_amount < sum(lines.billed_amount) over (
                partition by lines.tenant_id, lines.source, lines.visit_id, lines.compared_day
            ))
        ) as is_extra,
        row_number() over (
            partition by lines.tenant_id, lines.visit_id, lines.source, lines.billed_code, lines.service_date,
                lines.billed_amount, matches.line_id is null
            order by lines.line_id
        ) as place
    from lines
    left join matches
        on lines.tenant_id = matches.tenant_id
        and lines.line_id = matches.line_id
    left join record_days
        on lines.tenant_id = record_days.tenant_id
        and lines.source = record_days.source
        and lines.visit_id = record_days.visit_id
        and lines.compared_day = record_days.compared_day
    where lines.source_rank > 1
),

-- What two feeds behind the record add alike is added once.
extras as (
    select
        in_visits.*,
        first_value(line_id) over (
            partition by tenant_id, visit_id, billed_code, service_date, billed_amount, place
            order by source_rank, line_id
        ) as first_line_id
    from in_visits
    where is_extra
),

told_by_visit as materialized (
    select tenant_id, line_id, record_line_id as counted_line_id, coalesce(match_method, 'visit') as link_method
    from in_visits
    where not is_extra
    union all
    select tenant_id, line_id, first_line_id, 'extra'
    from extras
    where line_id <> first_line_id
),

-- Lines of a visit that several feeds tell of stand for its record's feed: they are compared already.
left_over as (
    select
        lines.*,
        case when lines.sources > 1 then record_source.source else lines.source end as service_source
    from lines
    left join told_by_visit
        on lines.tenant_id = told_by_visit.tenant_id
        and lines.line_id = told_by_visit.line_id
    left join (select distinct tenant_id, visit_id, source from lines where source_rank = 1) as record_source
        on lines.tenant_id = record_source.tenant_id
        and lines.visit_id = record_source.visit_id
    where
        told_by_visit.line_id is null
        and lines.patient_id is not null
        and lines.service_date is not null
        and lines.billed_code is not null
        and lines.billed_amount <> 0
),

services as (
    select
        left_over.*,
        row_number() over (
            partition by tenant_id, service_source, patient_id, service_date, billed_code, billed_amount
            order by modifiers, line_id
        ) as place
    from left_over
),

told_by_service as (
    select
        tenant_id,
        line_id,
        first_value(line_id) over (
            partition by tenant_id, patient_id, service_date, billed_code, billed_amount, place
            order by precedence, kind, service_source, line_id
        ) as counted_line_id
    from services
),

told as (
    select
        told_by_visit.tenant_id,
        told_by_visit.line_id,
        coalesce(told_by_service.counted_line_id, told_by_visit.counted_line_id) as counted_line_id,
        told_by_visit.link_method
    from told_by_visit
    left join told_by_service
        on told_by_visit.tenant_id = told_by_service.tenant_id
        and told_by_visit.counted_line_id = told_by_service.line_id
    union all
    select tenant_id, line_id, counted_line_id, 'patient_day_code_amount'
    from told_by_service
    where line_id <> counted_line_id
),

-- A visit that is billed by one claim alone has the record's charges of the claim's days on it.
visit_claims as (
    select
        tenant_id,
        visit_id,
        min(claim_id) as claim_id,
        min(claim_from_date) as claim_from_date,
        max(claim_to_date) as claim_to_date
    from lines
    where visit_id is not null and sources > 1 and kind = 'claim'
    group by tenant_id, visit_id
    having count(distinct claim_id) = 1
),

claimed as (
    select lines.tenant_id, lines.line_id, visit_claims.claim_id
    from lines
    inner join visit_claims
        on lines.tenant_id = visit_claims.tenant_id
        and lines.visit_id = visit_claims.visit_id
    where
        lines.source_rank = 1
        and lines.kind = 'charge'
        and coalesce(lines.service_date between visit_claims.claim_from_date and visit_claims.claim_to_date, true)
),

told_claims as (
    select told.tenant_id, told.counted_line_id, min(lines.claim_id) as claim_id
    from told
    inner join lines
        on told.tenant_id = lines.tenant_id
        and told.line_id = lines.line_id
    where lines.claim_id is not null
    group by told.tenant_id, told.counted_line_id
)

select
    lines.tenant_id,
    lines.line_id,
    told.counted_line_id,
    case when told.line_id is null then coalesce(lines.claim_id, told_claims.claim_id, claimed.claim_id)
    else lines.claim_id end as claim_id,
    coalesce(told.link_method, 'claim') as link_method
from lines
left join told
    on lines.tenant_id = told.tenant_id
    and lines.line_id = told.line_id
left join told_claims
    on lines.tenant_id = told_claims.tenant_id
    and lines.line_id = told_claims.counted_line_id
left join claimed
    on lines.tenant_id = claimed.tenant_id
    and lines.line_id = claimed.line_id
where
    told.line_id is not null
    or (lines.claim_id is null and coalesce(told_claims.claim_id, claimed.claim_id) is not null)
order by lines.tenant_id, lines.line_id
