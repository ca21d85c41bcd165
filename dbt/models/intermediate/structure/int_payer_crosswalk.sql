-- X12 feeds know a payer by its electronic identifier, PM systems by their own.
{{ shared_identifier(ref('stg_payers'), 'payer', 'electronic_payer_id', newest='effective_from') }}
