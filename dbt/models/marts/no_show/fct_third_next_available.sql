with future_slots as (
    select * from {{ ref('int_slot_snapshots') }}
    where slot_date >= snapshot_date
),

schedules as (
    select
        tenant_id,
        snapshot_date,
        service_unit_id,
        provider_id,
        visit_type_id,
        cast(sum(case when status = 'free' then 1 else 0 end) as bigint) as free_slots,
        cast(sum(case when status in ('free', 'held') then 1 else 0 end) as bigint) as free_or_held_slots
    from future_slots
    group by tenant_id, snapshot_date, service_unit_id, provider_id, visit_type_id
),

free_slots as (
    select
        *,
        row_number() over (
            partition by tenant_id, snapshot_date, service_unit_id, provider_id, visit_type_id
            order by start_at, slot_id
        ) as place
    from future_slots
    where status = 'free'
),

free_or_held_slots as (
    select
        *,
        row_number() over (
            partition by tenant_id, snapshot_date, service_unit_id, provider_id, visit_type_id
            order by start_at, slot_id
        ) as place
    from future_slots
    where status in ('free', 'held')
)

select
    schedule.tenant_id,
    schedule.service_unit_id || '|' || schedule.provider_id || '|' || schedule.visit_type_id
    || '|' || cast(schedule.snapshot_date as varchar) as third_next_available_key,
    {{ service_unit_key('schedule.service_unit_id', 'schedule.tenant_id', 'schedule.snapshot_date') }}
        as service_unit_key,
    schedule.service_unit_id,
    {{ entity_key('schedule.provider_id', 'schedule.tenant_id') }} as provider_key,
    schedule.provider_id,
    {{ entity_key('schedule.visit_type_id', 'schedule.tenant_id') }} as visit_type_key,
    schedule.visit_type_id,
    visit_type.is_new_patient,
    schedule.free_slots,
    schedule.free_or_held_slots,
    {{ date_diff_days('schedule.snapshot_date', 'third.slot_date') }} as third_next_available_days,
    {{ weekdays_between('schedule.snapshot_date', 'third.slot_date') }} as third_next_available_weekdays,
    {{ date_diff_days('schedule.snapshot_date', 'third_with_held.slot_date') }}
        as third_next_available_days_with_held,
    schedule.snapshot_date,
    third.slot_date as third_slot_date
from schedules as schedule
inner join {{ ref('int_visit_types') }} as visit_type
    on schedule.tenant_id = visit_type.tenant_id
    and schedule.visit_type_id = visit_type.visit_type_id
left join free_slots as third
    on schedule.tenant_id = third.tenant_id
    and schedule.snapshot_date = third.snapshot_date
    and schedule.service_unit_id = third.service_unit_id
    and schedule.provider_id = third.provider_id
    and schedule.visit_type_id = third.visit_type_id
    and third.place = 3
left join free_or_held_slots as third_with_held
    on schedule.tenant_id = third_with_held.tenant_id
    and schedule.snapshot_date = third_with_held.snapshot_date
    and schedule.service_unit_id = third_with_held.service_unit_id
    and schedule.provider_id = third_with_held.provider_id
    and schedule.visit_type_id = third_with_held.visit_type_id
    and third_with_held.place = 3
order by schedule.tenant_id, schedule.snapshot_date
