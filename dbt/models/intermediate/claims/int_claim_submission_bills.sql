-- A claim number means little: submissions of one number are one bill where issuer, patient, days and amount agree. What
-- one submission leaves empty is filled from those of the same number, day and amount, where these agree among themselves.
-- Nearly all numbers have one bill: they are left out here, which is what makes this cheap.
with stated as (
    {{ stated_bills() }}
),

disputed as (
    select tenant_id, claim_number
    from stated
    group by tenant_id, claim_number
    having
        {%- for name in bill_contents() %}
        {{ 'or ' if not loop.first }}min({{ name }}) < max({{ name }})
        {%- endfor %}
),

dated as (
    select
        stated.*,
        coalesce(stated.first_day, case
            when min(stated.first_day) over same_amount = max(stated.first_day) over same_amount
                then min(stated.first_day) over same_amount
        end) as filled_first_day
    from stated
    inner join disputed
        on stated.tenant_id = disputed.tenant_id
        and stated.claim_number = disputed.claim_number
    window same_amount as (partition by stated.tenant_id, stated.claim_number, stated.billed_amount)
),

filled as (
    select
        dated.*
        {%- for name in ['issuer', 'patient_id', 'patient_match_token', 'last_day'] %},
        coalesce({{ name }}, case
            when min({{ name }}) over same_day = max({{ name }}) over same_day then min({{ name }}) over same_day
        end) as filled_{{ name }}
        {%- endfor %}
    from dated
    window same_day as (partition by tenant_id, claim_number, billed_amount, filled_first_day)
)

select
    tenant_id,
    source_system,
    claim_submission_id,
    claim_number,
    claim_number || '/' || dense_rank() over (
        partition by tenant_id, claim_number
        order by filled_first_day, filled_last_day, billed_amount, filled_issuer, filled_patient_id,
            filled_patient_match_token
    ) as bill_id,
    billing_provider_npi,
    billing_tax_token,
    is_original,
    is_837,
    submitted_at
    {%- for name in bill_contents() %},
    {{ 'filled_' ~ name ~ ' as ' if name != 'billed_amount' }}{{ name }}
    {%- endfor %}
from filled
