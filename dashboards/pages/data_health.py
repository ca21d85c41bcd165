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
GOOD_FEEDS = frozenset({"read", "ok", "unchanged", "landed", "success"})


def draw(context: PageContext) -> None:
    health = context.source.health
    last = context.source.last_run
    read, landed, quarantined = (_total(health.feeds, f"records_{name}") for name in ("read", "landed", "quarantined"))
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
        text = f"{last.reason} The figures are those of the version published before; nothing of that run is shown."
        context.html(
            markup.state(f"The last run on {fmt.moment(last.at)} published nothing", text), key="cm_unpublished"
        )
    facts = [
        ("Records read", fmt.grouped(read), "over all feeds and runs"),
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
    return bool(row.get("problem")) or str(row.get("outcome") or "") not in GOOD_FEEDS


def _finding(bad_feeds: int, quarantined: int, refused: int) -> str:
    if bad_feeds:
        return f"{fmt.plural(bad_feeds, 'feed')} could not be read whole; the figures rest on the others"
    kept = []
    if quarantined:
        kept.append(f"{fmt.plural(quarantined, 'record')} in quarantine")
    if refused:
        kept.append(f"{fmt.plural(refused, 'file')} refused")
    return f"All feeds were read; {' and '.join(kept)}" if kept else "All feeds were read and every record was kept"


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
        "Feeds", "What each feed brought, and when it was last read; read = landed + quarantined, in records"
    )
    columns = [
        markup.Column("Feed"),
        markup.Column("Kind"),
        markup.Column("State"),
        markup.Column("Last read"),
        markup.Column("Newest record"),
        markup.Column("Read", "count"),
        markup.Column("Landed", "count"),
        markup.Column("Quarantined", "count"),
        markup.Column("Files refused", "count"),
    ]
    rows = [
        markup.Row(
            (
                row["feed"],
                " ".join(part for part in (row.get("kind"), row.get("profile")) if part),
                row.get("problem") or str(row.get("outcome") or fmt.DASH).capitalize(),
                fmt.moment(row.get("last_read_at")),
                fmt.moment(row.get("newest_record_at")),
                row.get("records_read"),
                row.get("records_landed"),
                row.get("records_quarantined"),
                row.get("units_refused"),
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
        markup.Row((row["feed"], row["entity"], _reason(row), row["rows"]))
        for row in frame.sort("rows", descending=True).head(blocks.MOST_ROWS).iter_rows(named=True)
    ]
    context.html(
        markup.table(columns, rows, caption="Quarantine", empty="Every row met its contract."), key="cm_quarantine"
    )


def _reason(row: dict[str, Any]) -> str:
    column = row.get("column_name")
    return f"{row['reason']} ({column})" if column and column not in str(row["reason"]) else str(row["reason"])


def _refused(context: PageContext, frame: pl.DataFrame) -> None:
    blocks.section("Refused files", "Not read at all; the rest of the run went on")
    columns = [markup.Column("Feed"), markup.Column("File"), markup.Column("Why, and what to do")]
    rows = [
        markup.Row((row["feed"], _place(row), " ".join(part for part in (row["problem"], row.get("remedy")) if part)))
        for row in frame.head(blocks.MOST_ROWS).iter_rows(named=True)
    ]
    context.html(
        markup.table(columns, rows, caption="Refused files", empty="No file was refused."), key="cm_refused_files"
    )


def _place(row: dict[str, Any]) -> str:
    unit, position = str(row["unit"]).rsplit("/", 1)[-1], row.get("position")
    return f"{unit} ({position})" if position else unit


def _batches(context: PageContext, frame: pl.DataFrame) -> None:
    blocks.section("Latest batches", "Every batch balances: rows read = landed + quarantined")
    columns = [
        markup.Column("Feed"),
        markup.Column("Entity"),
        markup.Column("Landed at"),
        markup.Column("Read", "count"),
        markup.Column("Landed", "count"),
        markup.Column("Quarantined", "count"),
    ]
    latest = frame.sort(["landed_at", "feed", "entity"], descending=[True, False, False]).head(15)
    rows = [
        markup.Row(
            (
                row["feed"],
                row["entity"],
                fmt.moment(row["landed_at"]),
                row["rows_read"],
                row["rows_landed"],
                row["rows_quarantined"],
            )
        )
        for row in latest.iter_rows(named=True)
    ]
    context.html(markup.table(columns, rows, caption="Latest batches", empty="No batch yet."), key="cm_batches")
