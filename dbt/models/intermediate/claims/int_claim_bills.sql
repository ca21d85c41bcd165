-- What submissions and charges state under a claim number. Charges are bills where no submission bears their number, or
-- where it takes a look at patient and day to know whose they are: of one number with several bills, or of another
-- patient, or of other days and another amount than the bill of their number.
with stated as (
    {{ stated_bills() }}
),

several as (
    select tenant_id, claim_number from {{ ref('int_claim_submission_bills') }} group by tenant_id, claim_number
),

submitted as (
    select
        stated.tenant_id,
        stated.claim_number,
        stated.claim_number || '/1' as bill_id
        {%- for name in bill_contents() %},
        min({{ name }}) as {{ name }}
        {%- endfor %},
        {{ bill_columns() | indent(4) }}
    from stated
    left join several
        on stated.tenant_id = several.tenant_id
        and stated.claim_number = several.claim_number
    where several.claim_number is null
    group by stated.tenant_id, stated.claim_number
    union all
    select
        tenant_id,
        claim_number,
        bill_id
        {%- for name in bill_contents() %},
        min({{ name }})
        {%- endfor %},
        {{ bill_columns() | indent(4) }}
    from {{ ref('int_claim_submission_bills') }}
    group by tenant_id, claim_number, bill_id
),

numbers as (
    select
        tenant_id,
        claim_number,
        count(*) as bills,
        min(patient_id) as patient_id,
        min(first_day) as first_day,
        max(last_day) as last_day,
        min(billed_amount) as billed_amount
    from submitted
    group by tenant_id, claim_number
),

charges as (
    select
        charges.tenant_id,
        charges.claim_id as claim_number,
        charges.source_system,
        coalesce({{ current_id('charges', 'patient') }}, '') as patient_id,
        charges.service_date,
        sum(case when charges.status = 'posted' then charges.billed_amount else 0 end) as billed_amount
    from {{ ref('stg_charges') }} as charges
    {{ crosswalk_joins('charges', ['patient']) | indent(4) }}
    where charges.claim_id is not null
    group by 1, 2, 3, 4, 5
),

-- A charge that two feeds tell of is one.
charged as (
    select
        tenant_id,
        claim_number,
        patient_id,
        min(first_day) as first_day,
        max(last_day) as last_day,
        max(billed_amount) as billed_amount
    from (
        select
            tenant_id,
            claim_number,
            source_system,
            patient_id,
            min(service_date) as first_day,
            max(service_date) as last_day,
            sum(billed_amount) as billed_amount
        from charges
        group by tenant_id, claim_number, source_system, patient_id
    ) as of_feeds
    group by tenant_id, claim_number, patient_id
),

doubtful as (
    select
        charged.tenant_id,
        charged.claim_number,
        max(case when numbers.claim_number is null then 0 else 1 end) = 1 as is_submitted
    from charged
    left join numbers
        on charged.tenant_id = numbers.tenant_id
        and charged.claim_number = numbers.claim_number
    where numbers.claim_number is null
        or numbers.bills > 1
        or (charged.patient_id <> '' and {{ contradicts('charged', 'numbers', 'patient_id') }})
        or ({{ days_apart('charged', 'numbers') }} and charged.billed_amount <> numbers.billed_amount)
    group by charged.tenant_id, charged.claim_number
),

looked_at as (
    select charged.*, doubtful.is_submitted
    from charged
    inner join doubtful
        on charged.tenant_id = doubtful.tenant_id
        and charged.claim_number = doubtful.claim_number
),

charge_bills as (
    select tenant_id, claim_number, patient_id, cast(null as date) as charge_day, first_day, last_day, billed_amount
    from looked_at
    where not is_submitted
    union all
    select
        charges.tenant_id,
        charges.claim_number,
        charges.patient_id,
        coalesce(charges.service_date, cast('1900-01-01' as date)),
        charges.service_date,
        charges.service_date,
        max(looked_at.billed_amount)
    from charges
    inner join looked_at
        on charges.tenant_id = looked_at.tenant_id
        and charges.claim_number = looked_at.claim_number
        and charges.patient_id = looked_at.patient_id
        and looked_at.is_submitted
    group by charges.tenant_id, charges.claim_number, charges.patient_id, charges.service_date
),

bills as (
    select
        tenant_id,
        bill_id,
        claim_number,
        issuer,
        billing_provider_npi,
        billing_tax_token,
        patient_id,
        patient_match_token,
        first_day,
        last_day,
        billed_amount,
        is_original,
        is_837,
        false as is_charge,
        first_feed,
        last_feed,
        first_submitted_at,
        cast(null as date) as charge_day
    from submitted
    union all
    select
        tenant_id,
        claim_number || '/charges/' || row_number() over (
            partition by tenant_id, claim_number order by patient_id, charge_day
        ),
        claim_number,
        {{ nulls(3) }},
        nullif(patient_id, ''),
        null,
        first_day,
        last_day,
        billed_amount,
        false,
        false,
        true,
        {{ nulls(3) }},
        charge_day
    from charge_bills
),

counted as (
    select
        tenant_id,
        claim_number,
        count(*) as bills,
        sum(case when is_charge then 0 else 1 end) as submitted_bills
    from bills
    group by tenant_id, claim_number
    having count(*) > 1
)

select
    bills.*,
    -- Charges of a submitted number are looked at by day: they are no claims of it.
    case when counted.submitted_bills > 0 then counted.submitted_bills else coalesce(counted.bills, 1) end
        as bills_of_number,
    counted.claim_number is not null as has_other_bills
from bills
left join counted
    on bills.tenant_id = counted.tenant_id
    and bills.claim_number = counted.claim_number
