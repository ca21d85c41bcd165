"""Where a figure comes from: which feeds it rests on and how they stand, then the columns and fields behind it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from markupsafe import Markup

from dashboards import blocks, markup
from dashboards import format as fmt
from dashboards.pages.data_health import coverage
from dashboards.shell import PageContext
from serving.lineage.metric import FeedState, MetricLineage
from serving.model import MetricDefinition
from serving.modules.entities import NOUNS

KINDS: Mapping[str, str] = {
    "pm_database": "PM database",
    "fhir": "FHIR",
    "hl7v2": "HL7 v2",
    "x12": "X12",
    "reference_file": "reference file",
}
# What entities that are no events bring, in the words of a clinic.
REFERENCE: Mapping[str, str] = {
    "contract_rate": "contract rates",
    "patient": "patients",
    "patient_merge": "patients",
    "payer": "payers",
    "provider": "providers",
    "provider_service_unit": "providers",
    "service_unit": "units",
    "visit_type": "visit types",
    "organization": "units",
    "authorization": "authorizations",
    "referral": "referrals",
    "reminder": "reminders",
    "remittance_line": "remittances",
    "remittance_claim": "remittances",
    "remittance": "remittances",
    "remittance_adjustment": "remittances",
    "acknowledgement": "acknowledgements",
    "claim_status": "acknowledgements",
    "inventory_usage": "supplies",
    "ledger_entry": "ledger entries",
}
MOST_NAMED = 3
UNKNOWN = "This version was published before lineage was kept beside it. The next run that publishes brings it."


def draw(context: PageContext) -> None:
    """Draws the sources of one figure: definition, columns, fields and feeds."""
    source = context.source
    metric = source.metrics.get(context.view.metric or "")
    if metric is None:
        text = "Open it from a figure: its mark shows what the figure means, and leads on to where it comes from."
        context.html(markup.state("No figure is chosen", text), key="cm_state")
        return
    metric_lineage = source.lineage(metric.name)
    line = [
        f"data to {fmt.day(source.as_of)}",
        f"published {fmt.moment(source.reader.published_at, source.time_zone)}",
        f"version {source.reader.version.version}",
    ]
    crumbs = markup.breadcrumb(
        [(source.scope_label or source.tenant_name, "page:overview?"), (f"Where {_low(metric.label)} comes from", "")],
        tenant=source.tenant_name if source.scope_label else "",
    )
    if metric_lineage is None:
        context.html(markup.heading(metric.label, line, crumbs), key="cm_head")
        context.html(markup.state("Not known for this version", UNKNOWN), key="cm_state")
        return
    title = finding(metric, metric_lineage, datetime.now(UTC), source.time_zone)
    context.html(markup.heading(title, line, crumbs), key="cm_head")
    alerts = [{"kind": feed.alert, "message": feed.message} for feed in metric_lineage.feeds if feed.message]
    if alerts:
        context.html(coverage.alert_list(alerts), key="cm_alerts")
    context.html(_meaning(metric), key="cm_meaning")
    blocks.section(
        "Feeds it rests on", "What enters the figure from each, and how the feed stood when this was published"
    )
    context.html(
        feeds_table(metric_lineage, counts=source.sees_health, time_zone=source.time_zone), key="cm_lineage_feeds"
    )
    blocks.section(
        "Columns and fields",
        "Columns of marts that it adds up, divides or filters by, and the source fields they are made of",
    )
    lines = fmt.plural(sum(max(len(item.fields), 1) for item in metric_lineage.columns), "line")
    context.html(markup.folded(f"Show {lines}", fields_table(metric_lineage)), key="cm_lineage_fields")


def _low(label: str) -> str:
    """A label inside a sentence; one of capitals (A/R days, LOS) stays as it is."""
    return label if label[:2].isupper() or label[1:2] == "/" else label[:1].lower() + label[1:]


def finding(metric: MetricDefinition, metric_lineage: MetricLineage, now: datetime, time_zone: str) -> str:
    """`Net collection rate rests on charges from pm, remittances from remits (last read today)`."""
    parts = [f"{_named(nouns(feed))} from {feed.feed}" for feed in metric_lineage.feeds]
    if not parts:
        return f"{metric.label} rests on feeds that have brought nothing yet"
    shown = (
        parts
        if len(parts) <= MOST_NAMED
        else [*parts[:MOST_NAMED], f"{fmt.plural(len(parts) - MOST_NAMED, 'more feed')}"]
    )
    read = {when(feed.last_read_at, now, time_zone) for feed in metric_lineage.feeds}
    oldest = min((feed.last_read_at for feed in metric_lineage.feeds if feed.last_read_at is not None), default=None)
    last_read = f"last read {read.pop()}" if len(read) == 1 else f"the oldest last read {when(oldest, now, time_zone)}"
    return f"{metric.label} rests on {', '.join(shown)} ({last_read})"


def nouns(feed: FeedState) -> list[str]:
    """The rows of a feed behind the figure, in words; events first, because they are counted."""
    words = {entity: REFERENCE.get(entity) or NOUNS.get(entity) or entity.replace("_", " ") for entity in feed.entities}
    events = [words[entity] for entity in feed.entities if entity in NOUNS]
    names = list(dict.fromkeys([*events, *words.values()]))
    return names if len(names) <= MOST_NAMED else [*names[: MOST_NAMED - 1], "more"]


def _named(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else words[0]


def when(moment: datetime | None, now: datetime, time_zone: str) -> str:
    """A day of the tenant's zone as people say it: today, yesterday, on 12 Mar 2026. Moments without a zone are in UTC."""
    if moment is None:
        return "never"
    day, today = fmt.local_date(moment, time_zone), fmt.local_date(now, time_zone)
    return {0: "today", 1: "yesterday"}.get((today - day).days, f"on {fmt.day(day)}")


def feeds_table(metric_lineage: MetricLineage, *, counts: bool, time_zone: str) -> Markup:
    """A row a feed. Counts of rows are for those who see the state of the feeds."""
    columns = [
        markup.Column("Feed"),
        markup.Column("Kind"),
        markup.Column("Brings"),
        *([markup.Column("Rows landed", "count")] if counts else []),
        markup.Column("Newest day"),
        markup.Column("Last landed"),
        markup.Column("Last read"),
        markup.Column("State"),
    ]
    rows = [
        markup.Row(
            (
                feed.feed,
                KINDS.get(feed.kind, feed.kind),
                ", ".join(name.replace("_", " ") for name in feed.entities),
                *([feed.rows_landed] if counts else []),
                fmt.day(feed.newest_day),
                fmt.moment(feed.last_landed_at, time_zone),
                fmt.moment(feed.last_read_at, time_zone),
                _state(feed),
            )
        )
        for feed in metric_lineage.feeds
    ]
    table = markup.table(
        columns, rows, caption="Feeds", empty="No feed of this group has brought what it rests on yet."
    )
    if not metric_lineage.without_feed:
        return table
    names = _named([name.replace("_", " ") for name in metric_lineage.without_feed])
    return table + Markup('<p class="cm-note">{}</p>').format(f"No feed of this group brings {names}.")


STATES = {"stopped": "stopped", "short": "brings too little", "unreadable": "not read"}


def _state(feed: FeedState) -> str:
    """How a feed stands, in the words of Data health."""
    if feed.alert:
        return STATES.get(feed.alert, feed.alert)
    return f"in part: {fmt.plural(feed.files_refused, 'file')} refused" if feed.files_refused else "in order"


def fields_table(metric_lineage: MetricLineage) -> Markup:
    """A row a source field of each column; a count of rows has a separate row."""
    rows = []
    for item in metric_lineage.columns:
        name = item.mart if item.column == "*" else f"{item.mart}.{item.column}"
        rows += [
            markup.Row((name, f"{field.entity}.{field.field}", ", ".join(field.feeds))) for field in item.fields
        ] or [markup.Row((name, "a count of rows", ""))]
    columns = [markup.Column("Column of a mart"), markup.Column("Field of a contract"), markup.Column("Feeds")]
    return markup.table(columns, rows, caption="Columns and fields", empty="This figure reads no column.")


def _meaning(metric: MetricDefinition) -> Markup:
    rows = (("Counts", metric.numerator), ("Out of", metric.denominator), ("Comes from", metric.source))
    return Markup('<div class="cm-meaning"><p>{}</p>{}</div>').format(metric.description, markup.terms(rows))
