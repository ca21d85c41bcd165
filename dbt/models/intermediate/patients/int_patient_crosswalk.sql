-- The present is the span of the history that has no end.
select tenant_id, patient_id, current_patient_id
from {{ ref('int_patient_crosswalk_history') }}
where valid_to = cast('9999-12-31' as timestamp)
    and patient_id <> current_patient_id
order by tenant_id, patient_id
