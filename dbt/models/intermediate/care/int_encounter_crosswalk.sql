with matches as (
    select * from {{ ref('int_encounter_matches') }}
    where outcome = 'matched'
),

-- What the appointment joined may be joined again by its time.
ways as (
    select
        matches.tenant_id,
        matches.encounter_id,
        coalesce(
            case when matches.match_rule = 'appointment' then onward.current_encounter_id end,
            matches.current_encounter_id
        ) as current_encounter_id,
        case
            when onward.current_encounter_id <> matches.current_encounter_id then 'time'
            else matches.match_rule
        end as match_rule
    from matches
    left join (select * from matches where match_rule = 'time') as onward
        on matches.tenant_id = onward.tenant_id
        and matches.current_encounter_id = onward.encounter_id
),

joined as (
    select tenant_id, encounter_id, min(current_encounter_id) as current_encounter_id, min(match_rule) as match_rule
    from ways
    where encounter_id <> current_encounter_id
    group by tenant_id, encounter_id
)

select tenant_id, encounter_id, current_encounter_id, match_rule
from joined
union all
select
    parts.tenant_id,
    parts.encounter_id,
    coalesce(joined.current_encounter_id, parts.whole_encounter_id),
    'part'
from {{ ref('int_encounter_parts') }} as parts
left join joined
    on parts.tenant_id = joined.tenant_id
    and parts.whole_encounter_id = joined.encounter_id
order by 1, 2
