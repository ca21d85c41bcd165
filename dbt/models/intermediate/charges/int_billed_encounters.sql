{{ encounter_references(['charges', 'claims', 'patient_payments']) }}
order by 1, 2
