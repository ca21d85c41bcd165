with answers as (
    select
        tenant_id,
        remittance_claim_id as reference_id,
        claim_number,
        payee_npi as billing_provider_npi,
        payee_tax_token as billing_tax_token,
        patient_id,
        service_from_date as first_day,
        coalesce(service_to_date, service_from_date) as last_day,
        abs(billed_amount) as billed_amount
    from {{ ref('int_remitted_claims') }}
),

ranked as (
    select
        found.*,
        rank() over (partition by tenant_id, reference_id order by likeness) as choice
    from ({{ bill_candidates('answers') }}) as found
)

select tenant_id, reference_id as remittance_claim_id, bill_id, is_original
from ranked
where choice = 1
