{#
    Which identifiers of numbers that somebody issued are one (README.md, "Who issued a number"): common table expressions
    after `listed`, the rows that tell of the entity, and the select of exceptions (tenant_id, source_system, identifier, number,
    issued_key, separated_by, record_feed, first_seen_at). An identifier that is not among them is known by its number alone.

    entity        patient, encounter, appointment or provider
    evidence      columns of `listed` besides (tenant_id, source_system, identifier, source_updated_at)
    is_doubtful   SQL over the rows of one number: whether two of them may contradict each other
    contradicts   SQL over `one` and `other`, two rows of one number: whether they cannot be one
    agrees        the same: whether something says that they are one
    differs       the same: whether something says that they may not be one, though it may be a mistake
#}
{% macro issued_keys(entity, evidence, is_doubtful, contradicts, agrees, differs=none) -%}
{%- set mark = "'^^^'" -%}
several_issuers as (
    select tenant_id
    from {{ source('raw', 'issuer_spelling') }}
    where entity = '{{ entity }}' and {{ is_touched() }}
    group by tenant_id
    having count(distinct issuer) > 1
),

listed_numbers as (
    select *, split_part(identifier, {{ mark }}, 1) as number, nullif(split_part(identifier, {{ mark }}, 2), '') as spelling
    from listed
),

contradicted as (
    select tenant_id, number
    from listed_numbers
    group by tenant_id, number
    having count(distinct source_system) > 1 and ({{ is_doubtful }})
),

-- Rows that only name a number may be all that its other issuer ever sends.
referenced as (
    {%- for item in issued_references(entity) %}
    select tenant_id, source_system, {{ item.column }} as identifier
    from {{ source('raw', item.entity) }}
    where {{ item.column }} like '%^^^%'
        and tenant_id in (select tenant_id from several_issuers union select tenant_id from contradicted)
        and {{ is_touched() }}
    group by tenant_id, source_system, {{ item.column }}
    {%- if not loop.last %}
    union
    {%- endif %}
    {%- endfor %}
),

told as (
    select tenant_id, source_system, identifier, number, spelling, source_updated_at{% for name in evidence %}, {{ name }}{% endfor %}
    from listed_numbers
    union all
    select
        tenant_id,
        source_system,
        identifier,
        split_part(identifier, {{ mark }}, 1),
        nullif(split_part(identifier, {{ mark }}, 2), ''),
        null
        {%- for name in evidence %}, null{% endfor %}
    from referenced
),

named as (
    select told.*, coalesce(meanings.issuer, told.spelling, feeds.issuer, '') as stated_issuer
    from told
    left join {{ source('raw', 'feed_issuer') }} as feeds
        on told.tenant_id = feeds.tenant_id
        and told.source_system = feeds.source_system
    left join (select * from {{ source('raw', 'issuer_spelling') }} where entity = '{{ entity }}') as meanings
        on told.tenant_id = meanings.tenant_id
        and coalesce(told.spelling, feeds.issuer) = meanings.spelling
),

doubtful_numbers as (
    select tenant_id, number
    from named
    where tenant_id in (select tenant_id from several_issuers)
    group by tenant_id, number
    having count(distinct nullif(stated_issuer, '')) > 1
    union
    select tenant_id, number from contradicted
),

doubtful as (
    select named.*
    from named
    inner join doubtful_numbers
        on named.tenant_id = doubtful_numbers.tenant_id
        and named.number = doubtful_numbers.number
),

-- HL7 v2 knows an issuer by a name, FHIR by an address. A feed that states both tells two issuers apart.
stating as (
    select tenant_id, source_system, stated_issuer
    from named
    where stated_issuer <> '' and tenant_id in (select tenant_id from several_issuers)
    group by tenant_id, source_system, stated_issuer
),

kinds as (
    select
        tenant_id,
        count(distinct case when stated_issuer like '&%' then stated_issuer end) as addresses,
        count(distinct case when stated_issuer not like '&%' then stated_issuer end) as names
    from stating
    group by tenant_id
),

compared_issuers as (
    select
        one.tenant_id,
        one.stated_issuer as name,
        other.stated_issuer as address,
        sum(case when {{ differs or contradicts }} then 1 else 0 end) as contradictions,
        sum(case when {{ differs or contradicts }} then 0 when {{ agrees }} then 1 else 0 end) as agreements
    from doubtful as one
    inner join doubtful as other
        on one.tenant_id = other.tenant_id
        and one.number = other.number
    where one.stated_issuer <> '' and one.stated_issuer not like '&%' and other.stated_issuer like '&%'
    group by one.tenant_id, one.stated_issuer, other.stated_issuer
),

likely_issuers as (
    select
        compared.*,
        row_number() over (partition by compared.tenant_id, compared.name order by agreements desc, compared.address) as choice_of_name,
        row_number() over (partition by compared.tenant_id, compared.address order by agreements desc, compared.name) as choice_of_address
    from compared_issuers as compared
    inner join kinds
        on compared.tenant_id = kinds.tenant_id
    where (agreements > contradictions or (agreements = contradictions and kinds.names = 1 and kinds.addresses = 1))
        and not exists (
            select 1
            from stating as one
            inner join stating as other
                on one.tenant_id = other.tenant_id
                and one.source_system = other.source_system
            where one.tenant_id = compared.tenant_id
                and one.stated_issuer = compared.name
                and other.stated_issuer = compared.address
        )
),

-- Who issued the number, else the feed that tells of it.
claimed as (
    select
        doubtful.*,
        case when doubtful.stated_issuer = '' then 0 else 1 end as is_stated,
        coalesce(same.name, nullif(doubtful.stated_issuer, ''), doubtful.source_system) as claimant,
        coalesce(ranking.precedence, 999) as precedence
    from doubtful
    left join (select * from likely_issuers where choice_of_name = 1 and choice_of_address = 1) as same
        on doubtful.tenant_id = same.tenant_id
        and doubtful.stated_issuer = same.address
    left join (select * from {{ ref('stg_system_of_record') }} where entity = '{{ entity }}') as ranking
        on doubtful.tenant_id = ranking.tenant_id
        and doubtful.source_system = ranking.source_system
),

-- Feeds that name one issuer and tell of two: many senders write a name such as MRN there.
disputed as (
    select one.tenant_id, one.number, one.claimant, one.source_system
    from claimed as one
    inner join claimed as other
        on one.tenant_id = other.tenant_id
        and one.number = other.number
        and one.claimant = other.claimant
        and one.source_system <> other.source_system
    where (other.precedence, other.source_system) < (one.precedence, one.source_system) and ({{ contradicts }})
    group by one.tenant_id, one.number, one.claimant, one.source_system
),

-- A `thing` is one patient, visit and so on, as far as issuers tell.
issued as (
    select
        claimed.*,
        claimed.claimant || case when disputed.number is null then '' else '@' || claimed.source_system end as thing
    from claimed
    left join disputed
        on claimed.tenant_id = disputed.tenant_id
        and claimed.number = disputed.number
        and claimed.claimant = disputed.claimant
        and claimed.source_system = disputed.source_system
),

things as (
    select
        issued.tenant_id,
        issued.number,
        issued.thing,
        max(issued.is_stated) as is_stated,
        max(case when issued.thing = coalesce(meanings.issuer, defaults.issuer) then 1 else 0 end) as is_own,
        row_number() over (
            partition by issued.tenant_id, issued.number
            order by
                max(case when issued.thing = coalesce(meanings.issuer, defaults.issuer) then 1 else 0 end) desc,
                min(issued.precedence),
                min(issued.source_system),
                issued.thing
        ) as thing_rank
    from issued
    left join (select * from {{ source('raw', 'feed_issuer') }} where source_system = '') as defaults
        on issued.tenant_id = defaults.tenant_id
    left join (select * from {{ source('raw', 'issuer_spelling') }} where entity = '{{ entity }}') as meanings
        on defaults.tenant_id = meanings.tenant_id
        and defaults.issuer = meanings.spelling
    group by issued.tenant_id, issued.number, issued.thing
),

compared as (
    select
        one.tenant_id,
        one.number,
        one.thing,
        other.thing as other_thing,
        max(case when {{ contradicts }} then 1 else 0 end) as is_contradicted,
        max(case when {{ agrees }} then 1 else 0 end) as is_agreed
    from issued as one
    inner join issued as other
        on one.tenant_id = other.tenant_id
        and one.number = other.number
        and one.thing <> other.thing
    group by one.tenant_id, one.number, one.thing, other.thing
),

possible as (
    select compared.*, one.thing_rank, other.is_stated as is_other_stated, other.thing_rank as other_rank
    from compared
    inner join things as one
        on compared.tenant_id = one.tenant_id
        and compared.number = one.number
        and compared.thing = one.thing
    inner join things as other
        on compared.tenant_id = other.tenant_id
        and compared.number = other.number
        and compared.other_thing = other.thing
    where one.is_stated = 0 and compared.is_contradicted = 0
),

-- Of a feed that states no issuer: whose number it is. Agreement decides, then the tenant's own issuer and the best feed.
chosen as (
    select *
    from (
        select
            *,
            row_number() over (
                partition by tenant_id, number, thing order by is_agreed desc, other_rank
            ) as choice
        from possible
        where is_other_stated = 1
    ) as choices
    where choice = 1
),

-- Two feeds that contradict each other cannot both be of one issuer: the better feed is.
outdone as (
    select one.tenant_id, one.number, one.thing
    from chosen as one
    inner join chosen as other
        on one.tenant_id = other.tenant_id
        and one.number = other.number
        and one.other_thing = other.other_thing
    inner join compared
        on one.tenant_id = compared.tenant_id
        and one.number = compared.number
        and one.thing = compared.thing
        and other.thing = compared.other_thing
    where other.thing_rank < one.thing_rank and compared.is_contradicted = 1
    group by one.tenant_id, one.number, one.thing
),

attached as (
    select chosen.*
    from chosen
    left join outdone
        on chosen.tenant_id = outdone.tenant_id
        and chosen.number = outdone.number
        and chosen.thing = outdone.thing
    where outdone.thing is null
),

-- What contradicts every issuer, or has none to belong to, is compared with the feeds before it.
loose as (
    select things.*
    from things
    left join attached
        on things.tenant_id = attached.tenant_id
        and things.number = attached.number
        and things.thing = attached.thing
    where things.is_stated = 0 and attached.thing is null
),

leaders as (
    select loose.tenant_id, loose.number, loose.thing, loose.thing_rank
    from loose
    left join (
        select possible.tenant_id, possible.number, possible.thing
        from possible
        inner join loose as other
            on possible.tenant_id = other.tenant_id
            and possible.number = other.number
            and possible.other_thing = other.thing
        where possible.other_rank < possible.thing_rank
    ) as earlier
        on loose.tenant_id = earlier.tenant_id
        and loose.number = earlier.number
        and loose.thing = earlier.thing
    where earlier.thing is null
    group by loose.tenant_id, loose.number, loose.thing, loose.thing_rank
),

following as (
    select possible.tenant_id, possible.number, possible.thing, {{ first_known('leaders.thing', 'leaders.thing_rank') }} as led_by
    from possible
    inner join loose
        on possible.tenant_id = loose.tenant_id
        and possible.number = loose.number
        and possible.thing = loose.thing
    inner join leaders
        on possible.tenant_id = leaders.tenant_id
        and possible.number = leaders.number
        and possible.other_thing = leaders.thing
    where leaders.thing_rank < possible.thing_rank
    group by possible.tenant_id, possible.number, possible.thing
),

settled as (
    select
        issued.tenant_id,
        issued.source_system,
        issued.identifier,
        issued.number,
        issued.precedence,
        issued.source_updated_at,
        coalesce(attached.other_thing, following.led_by, issued.thing) as thing
    from issued
    left join attached
        on issued.tenant_id = attached.tenant_id
        and issued.number = attached.number
        and issued.thing = attached.thing
    left join following
        on issued.tenant_id = following.tenant_id
        and issued.number = following.number
        and issued.thing = following.thing
),

-- The number alone stands for the tenant's own issuer, else for the one that the best feed knows.
holders as (
    select
        settled.tenant_id,
        settled.number,
        settled.thing,
        min(things.is_stated) as is_stated,
        {{ first_known('settled.source_system', 'settled.precedence') }} as best_feed,
        row_number() over (
            partition by settled.tenant_id, settled.number
            order by max(things.is_own) desc, min(settled.precedence), min(things.thing_rank), settled.thing
        ) as choice
    from settled
    inner join things
        on settled.tenant_id = things.tenant_id
        and settled.number = things.number
        and settled.thing = things.thing
    group by settled.tenant_id, settled.number, settled.thing
),

-- What a number alone means in a feed that has no row of it: the feed's own issuer, else the one that it states elsewhere.
alone as (
    select things.tenant_id, feeds.source_system, things.number, things.thing
    from things
    inner join {{ source('raw', 'feed_issuer') }} as feeds
        on things.tenant_id = feeds.tenant_id
    inner join (select * from {{ source('raw', 'issuer_spelling') }} where entity = '{{ entity }}') as meanings
        on feeds.tenant_id = meanings.tenant_id
        and feeds.issuer = meanings.spelling
        and things.thing = meanings.issuer
    where feeds.source_system <> ''
    union
    select tenant_id, source_system, number, min(thing)
    from settled
    where not exists (
        select 1
        from {{ source('raw', 'feed_issuer') }} as feeds
        where feeds.tenant_id = settled.tenant_id and feeds.source_system = settled.source_system
    )
    group by tenant_id, source_system, number
    having max(case when identifier = number then 1 else 0 end) = 0
),

identifiers as (
    select tenant_id, source_system, identifier, number, min(thing) as thing, max(source_updated_at) as first_seen_at
    from (
        select tenant_id, source_system, identifier, number, thing, source_updated_at from settled
        union all
        select tenant_id, source_system, number, number, thing, null from alone
    ) as together
    group by tenant_id, source_system, identifier, number
)

select
    identifiers.tenant_id,
    identifiers.source_system,
    identifiers.identifier,
    identifiers.number,
    identifiers.number || {{ mark }} || identifiers.thing as issued_key,
    case
        when mine.is_stated = 1 and holders.is_stated = 1 and mine.thing not like '%@%' then 'issuer'
        else 'evidence'
    end as separated_by,
    holders.best_feed as record_feed,
    identifiers.first_seen_at
from identifiers
inner join holders
    on identifiers.tenant_id = holders.tenant_id
    and identifiers.number = holders.number
    and holders.choice = 1
inner join holders as mine
    on identifiers.tenant_id = mine.tenant_id
    and identifiers.number = mine.number
    and identifiers.thing = mine.thing
where identifiers.thing <> holders.thing
order by identifiers.tenant_id, identifiers.source_system, identifiers.identifier
{%- endmacro %}
