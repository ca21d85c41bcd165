"""Data health: can the figures be trusted? How fresh each feed is, what was kept back and why, what is published."""

from typing import Any

import polars as pl

from dashboards import blocks, markup
from dashboards import format as fmt
from dashboards.shell import PageContext

OUTCOMES = {
    "published": "Published",
    "unchanged": "Nothing new",
    "stopped": "Stopped by a check",
    "failed": "Failed",
}
FEED_OUTCOMES = {
    "landed": "Read whole",
    "unchanged": "Nothing new",
    "partly": "Read in part",
    "unreadable": "Not read",
}
PROTOCOL_REASONS = {
    "no_msh": "The message has no MSH segment",
    "transaction_not_closed": "The transaction has no end",
    "group_not_closed": "The group has no end",
    "interchange_not_closed": "The interchange has no end",
    "not_json": "The line is not JSON",
    "no_resource_type": "The line names no resource type",
    "resource_type_not_in_model": "A resource that the model does not take",
    "transaction_not_in_model": "A transaction that the model does not take",
}
KINDS = {"pm_database": "PM database", "fhir": "FHIR", "hl7v2": "HL7 v2", "x12": "X12"}
# The gate's rules, as a sentence about the column; what a protocol found has words of its own.
RULES = {
    "required": "is missing",
    "valid_values": "is not one of the allowed values",
    "pattern": "does not have the agreed form",
    "range": "is out of range",
    "order": "is before what must come first",
    "type": "cannot be read as what it should be",
    "reference": "names nothing that is known",
    "unique": "is there twice",
}


def draw(context: PageContext) -> None:
    health = context.source.health
    last = context.source.last_run
    read, landed, quarantined = (_total(health.batches, f"rows_{name}") for name in ("read", "landed", "quarantined"))
    refused = health.refused_units.height
    bad_feeds = [row for row in health.feeds.iter_rows(named=True) if _is_bad(row)]
    context.html(
        markup.heading(
            _finding(len(bad_feeds), quarantined, refused),
            [
                f"data to {fmt.day(context.source.as_of)}",
                f"published {fmt.moment(context.source.reader.published_at)}",
                f"version {context.source.reader.version.version}",
            ],
            markup.breadcrumb([(context.source.tenant_name, "")]),
        ),
        key="cm_head",
    )
    if last is not None and last.outcome in ("stopped", "failed"):
        text = f"{fmt.sentence(last.reason)} The figures are those of the version published before; nothing of that run is shown."
        context.html(
            markup.state(f"The last run on {fmt.moment(last.at)} published nothing", text), key="cm_unpublished"
        )
    facts = [
        ("Rows read", fmt.grouped(read), f"from {fmt.plural(_total(health.feeds, 'records_read'), 'record')}"),
        ("Landed", fmt.grouped(landed), _balance(read, landed, quarantined)),
        ("Quarantined", fmt.grouped(quarantined), _share(quarantined, read)),
        ("Files refused", fmt.grouped(refused), "not what their feed says they are" if refused else "none"),
        (
            "Last run",
            OUTCOMES.get(last.outcome, last.outcome) if last else fmt.DASH,
            fmt.moment(last.at) if last else "",
        ),
    ]
    context.html(_facts(facts), key="cm_tiles")
    _feeds(context, health.feeds)
    blocks.columns([lambda: _quarantine(context, health.quarantine), lambda: _refused(context, health.refused_units)])
    _batches(context, health.batches)


def _is_bad(row: dict[str, Any]) -> bool:
    """Whether a feed brought less than it should: what is not known to be good is not taken for good."""
    return str(row.get("outcome") or "") not in ("landed", "unchanged")


def _finding(bad_feeds: int, quarantined: int, refused: int) -> str:
    if bad_feeds:
        return f"{fmt.plural(bad_feeds, 'feed')} could not be read whole; the figures rest on the others"
    kept = []
    if quarantined:
        kept.append(f"{fmt.plural(quarantined, 'row')} in quarantine")
    if refused:
        kept.append(f"{fmt.plural(refused, 'file')} refused")
    return f"All feeds were read; {' and '.join(kept)}" if kept else "All feeds were read and every row was kept"


def _total(frame: pl.DataFrame, column: str) -> int:
    return int(frame[column].sum() or 0) if column in frame.columns and frame.height else 0


def _balance(read: int, landed: int, quarantined: int) -> str:
    if read == landed + quarantined:
        return "read = landed + quarantined"
    return f"{fmt.grouped(read - landed - quarantined)} neither landed nor quarantined"


def _share(part: int, whole: int) -> str:
    return f"{fmt.exact(fmt.decimal(part) / whole, 'percent')} of what was read" if whole else ""


def _facts(facts: list[tuple[str, str, str]]) -> str:
    inner = "".join(
        f'<article class="cm-tile cm-fact"><header><h3>{markup.esc(name)}</h3></header>'
        f'<p class="cm-value"><b>{markup.esc(value)}</b></p><p class="cm-change"><span>{markup.esc(note)}</span></p></article>'
        for name, value, note in facts
    )
    return f'<section class="cm-tiles" style="--cm-count:{len(facts)}">{inner}</section>'


def _feeds(context: PageContext, feeds: pl.DataFrame) -> None:
    blocks.section(
        "Feeds", "What each feed brought and when; records as the source counts them, read = landed + quarantined"
    )
    columns = [
        markup.Column("Feed"),
        markup.Column("Kind"),
        markup.Column("State"),
        markup.Column("Last read"),
        markup.Column("Newest record"),
        markup.Column("Records read", "count"),
        markup.Column("Landed", "count"),
        markup.Column("Quarantined", "count"),
        markup.Column("Rows landed", "count"),
        markup.Column("Rows quarantined", "count"),
        markup.Column("Files refused", "count"),
    ]
    rows = [
        markup.Row(
            (
                row["feed"],
                KINDS.get(row["kind"], row["kind"]),
                FEED_OUTCOMES.get(row["outcome"], row["outcome"]),
                fmt.moment(row["last_read_at"]),
                fmt.moment(row["newest_record_at"]),
                row["records_read"],
                row["records_landed"],
                row["records_quarantined"],
                row["rows_landed"],
                row["rows_quarantined"],
                row["units_refused"],
            )
        )
        for row in feeds.sort("feed").iter_rows(named=True)
    ]
    empty = "No feed has been read yet. The first pipeline run fills this table."
    context.html(markup.table(columns, rows, caption="Feeds", empty=empty), key="cm_feeds")


def _quarantine(context: PageContext, frame: pl.DataFrame) -> None:
    blocks.section("In quarantine, by reason", "Kept out of every figure until its reason is mended and it is released")
    columns = [markup.Column("Feed"), markup.Column("Entity"), markup.Column("Reason"), markup.Column("Rows", "count")]
    rows = [
        markup.Row((row["feed"], _words(row["entity"]), _reason(row), row["rows"]))
        for row in frame.sort("rows", descending=True).head(blocks.MOST_ROWS).iter_rows(named=True)
    ]
    context.html(
        markup.table(columns, rows, caption="Quarantine", empty="Every row met its contract."), key="cm_quarantine"
    )


def _reason(row: dict[str, Any]) -> str:
    """`Service date is missing`; a protocol's own reason as it stands."""
    reason, column = str(row["reason"]), row.get("column_name")
    if column:
        return f"{_words(column)} {RULES.get(reason, reason.replace('_', ' '))}"
    return PROTOCOL_REASONS.get(reason, _words(reason))


def _words(name: str) -> str:
    text = name.replace("_", " ").strip()
    return text[:1].upper() + text[1:]


def _refused(context: PageContext, frame: pl.DataFrame) -> None:
    blocks.section("Refused files", "Not read at all; the rest of the run went on")
    columns = [markup.Column("Feed"), markup.Column("File"), markup.Column("Why, and what to do")]
    rows = [
        markup.Row((row["feed"], _place(row), _sentences(row["problem"], row["remedy"])))
        for row in frame.head(blocks.MOST_ROWS).iter_rows(named=True)
    ]
    context.html(
        markup.table(columns, rows, caption="Refused files", empty="No file was refused."), key="cm_refused_files"
    )


def _sentences(*texts: str | None) -> str:
    """Texts of the ledger as sentences, each with its full stop."""
    return " ".join(fmt.sentence(text) for text in texts if text)


def _place(row: dict[str, Any]) -> str:
    unit, position = str(row["unit"]).rsplit("/", 1)[-1], row.get("position")
    return f"{unit} ({position})" if position else unit


def _batches(context: PageContext, frame: pl.DataFrame) -> None:
    """The last run's rows by feed and entity."""
    blocks.section("What the last run brought", "Rows by feed and entity; read = landed + quarantined in each")
    columns = [
        markup.Column("Feed"),
        markup.Column("Entity"),
        markup.Column("Landed at"),
        markup.Column("Rows read", "count"),
        markup.Column("Landed", "count"),
        markup.Column("Quarantined", "count"),
    ]
    latest = frame.filter(pl.col("run_id") == frame.sort("landed_at")["run_id"][-1]) if frame.height else frame
    summed = (
        latest.group_by("feed", "entity")
        .agg(pl.col("landed_at").max(), pl.col("rows_read", "rows_landed", "rows_quarantined").sum())
        .sort("feed", "entity")
    )
    rows = [
        markup.Row(
            (
                row["feed"],
                _words(row["entity"]),
                fmt.moment(row["landed_at"]),
                row["rows_read"],
                row["rows_landed"],
                row["rows_quarantined"],
            )
        )
        for row in summed.iter_rows(named=True)
    ]
    table = markup.table(columns, rows, caption="The last run", empty="No batch yet.")
    context.html(markup.folded(f"Show {fmt.plural(len(rows), 'line')}", table), key="cm_batches")
