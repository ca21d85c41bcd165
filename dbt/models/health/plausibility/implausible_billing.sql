-- CM-PLAUS-001: lines of two feeds that nothing links, on one day, of one code and amount. A patient whom both feeds know tells
-- them apart, so only lines whose patient the other feed does not know are doubtful.
with lines as (
    select lines.*
    from {{ ref('int_billing_visits') }} as lines
    left join (
        select tenant_id, line_id from {{ ref('int_billing_links') }} where counted_line_id is not null
        union
        select tenant_id, counted_line_id from {{ ref('int_billing_links') }} where counted_line_id is not null
    ) as linked
        on lines.tenant_id = linked.tenant_id
        and lines.line_id = linked.line_id
    where linked.line_id is null and lines.service_date is not null and lines.billed_code is not null
),

patients as (
    select tenant_id, source, patient_id
    from {{ ref('int_billing_visits') }}
    where patient_id is not null
    group by tenant_id, source, patient_id
),

sources as (
    select tenant_id, source, min(source_system) as source_system, min(precedence) as precedence, count(*) as all_lines
    from {{ ref('int_billing_visits') }}
    group by tenant_id, source
),

-- Of two feeds the one that the record ranks lower is doubtful.
pairs as (
    select
        doubted.tenant_id,
        doubted.source,
        doubted.source_system as feed,
        doubted.all_lines,
        other.source as other_source,
        other.source_system as other_feed
    from sources as doubted
    inner join sources as other
        on doubted.tenant_id = other.tenant_id
        and doubted.source <> other.source
        and (other.precedence < doubted.precedence or (other.precedence = doubted.precedence and other.source < doubted.source))
),

placed as (
    select
        pairs.tenant_id,
        pairs.source,
        pairs.feed,
        pairs.other_source,
        pairs.other_feed,
        pairs.all_lines,
        lines.source as line_source,
        lines.kind,
        lines.service_date,
        lines.billed_code,
        lines.billed_amount,
        lines.source_position,
        row_number() over (
            partition by pairs.tenant_id, pairs.source, pairs.other_source, lines.source, lines.service_date,
                lines.billed_code, lines.billed_amount
            order by lines.line_id
        ) as place
    from pairs
    inner join lines
        on pairs.tenant_id = lines.tenant_id
        and (pairs.source = lines.source or pairs.other_source = lines.source)
    left join patients
        on lines.tenant_id = patients.tenant_id
        and lines.patient_id = patients.patient_id
        and patients.source = case when lines.source = pairs.source then pairs.other_source else pairs.source end
    where patients.patient_id is null
),

doubtful as (
    select doubted.*, count(*) over (partition by doubted.tenant_id, doubted.source, doubted.other_source) as doubtful_lines
    from placed as doubted
    inner join placed as other
        on doubted.tenant_id = other.tenant_id
        and doubted.source = other.source
        and doubted.other_source = other.other_source
        and doubted.service_date = other.service_date
        and doubted.billed_code = other.billed_code
        and doubted.billed_amount = other.billed_amount
        and doubted.place = other.place
        and other.line_source = other.other_source
    where doubted.line_source = doubted.source
)

select
    tenant_id,
    'CM-PLAUS-001' as code,
    feed,
    other_feed,
    case when kind = 'charge' then 'charge' else 'claim_line' end as entity,
    source_position,
    service_date as found_day,
    1 as found_rows,
    billed_amount as found_amount
from doubtful
where {{ is_material('doubtful_lines', 'all_lines') }}
