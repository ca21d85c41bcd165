{#
    Common table expressions that find which visits are one, out of different feeds, under one rule. `<rule>_matched` has
    a row (tenant_id, visit_id, current_visit_id) for each visit that has a counterpart: current_visit_id is the one of
    the best feed, or null where more than one counterpart is possible: then none is taken.

    A pair counts if each is the other's only counterpart in the feeds concerned. Visits that pairs connect are one,
    unless a feed then told of the visit twice. So the result does not depend on any order, is symmetric and transitive,
    and never joins two visits of one feed.

    rule       prefix of the expressions' names
    visits     relation of (tenant_id, visit_id, feed_bits, feed_number) and what the condition needs; feed_bits has a bit
               for each feed that knows the visit, feed_number is the best of them, 1 being the record
    condition  SQL over `one` and `other`, which is symmetric and holds an equality to join by
#}
{% macro encounter_matches(rule, visits, condition) -%}
{{ rule }}_pairs as (
    select
        one.tenant_id,
        one.visit_id,
        one.feed_bits,
        other.visit_id as other_visit_id,
        other.feed_bits as other_feed_bits
    from {{ visits }} as one
    inner join {{ visits }} as other
        on one.tenant_id = other.tenant_id
        and {{ condition }}
    where one.visit_id <> other.visit_id
        and (one.feed_bits & other.feed_bits) = 0
),

-- One of two counterparts that a feed tells apart: which of them it is, nobody knows.
{{ rule }}_contested as (
    select pair.tenant_id, pair.visit_id, pair.other_visit_id
    from {{ rule }}_pairs as pair
    inner join {{ rule }}_pairs as rival
        on pair.tenant_id = rival.tenant_id
        and pair.visit_id = rival.visit_id
        and pair.other_visit_id <> rival.other_visit_id
        and (pair.other_feed_bits & rival.other_feed_bits) <> 0
    group by pair.tenant_id, pair.visit_id, pair.other_visit_id
),

{{ rule }}_sole as (
    select pair.tenant_id, pair.visit_id, pair.other_visit_id
    from {{ rule }}_pairs as pair
    left join {{ rule }}_contested as contested
        on pair.tenant_id = contested.tenant_id
        and (
            (pair.visit_id = contested.visit_id and pair.other_visit_id = contested.other_visit_id)
            or (pair.visit_id = contested.other_visit_id and pair.other_visit_id = contested.visit_id)
        )
    where contested.visit_id is null
),

-- Every visit reaches itself too, by way of its counterpart.
{{ rule }}_reach as (
    select tenant_id, visit_id, other_visit_id as reached_visit_id from {{ rule }}_sole
    union
    select reach.tenant_id, reach.visit_id, sole.other_visit_id
    from {{ rule }}_reach as reach
    inner join {{ rule }}_sole as sole
        on reach.tenant_id = sole.tenant_id
        and reach.reached_visit_id = sole.visit_id
),

{{ rule }}_joined as (
    select
        reach.tenant_id,
        reach.visit_id,
        {{ first_known('reach.reached_visit_id', 'reached.feed_number') }} as current_visit_id
    from {{ rule }}_reach as reach
    inner join {{ visits }} as reached
        on reach.tenant_id = reached.tenant_id
        and reach.reached_visit_id = reached.visit_id
    group by reach.tenant_id, reach.visit_id
    having sum(reached.feed_bits) = bit_or(reached.feed_bits)
),

{{ rule }}_matched as (
    select pairs.tenant_id, pairs.visit_id, joined.current_visit_id
    from (select tenant_id, visit_id from {{ rule }}_pairs group by tenant_id, visit_id) as pairs
    left join {{ rule }}_joined as joined
        on pairs.tenant_id = joined.tenant_id
        and pairs.visit_id = joined.visit_id
)
{%- endmacro %}
