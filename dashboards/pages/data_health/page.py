"""Data health: can the figures be trusted? Which feeds stopped, what came day by day, what was kept back and why."""

from collections.abc import Sequence
from typing import Any

import polars as pl
from markupsafe import Markup

from dashboards import blocks, markup, shell
from dashboards import format as fmt
from dashboards.pages.data_health import coverage, plausibility, reconciliation
from dashboards.pages.data_health import matches as health_matches
from dashboards.pages.data_health import tables as health_tables
from dashboards.shell import PageContext
from serving.model import Health, LastRun
from serving.plausibility import Finding

OUTCOMES = {
    "published": "Published",
    "unchanged": "Nothing new",
    "stopped": "Stopped by a check",
    "failed": "Failed",
}


def draw(context: PageContext) -> None:
    """Draws the state of the feeds: rows, problems, quarantine, coverage and matches."""
    health, last = context.source.health, context.source.last_run
    alerts = context.source.alerts.to_dicts()
    context.html(
        markup.heading(
            coverage.finding(alerts) or _finding(health),
            [
                f"data to {fmt.day(context.source.as_of)}",
                f"published {fmt.moment(context.source.reader.published_at, context.source.time_zone)}",
                f"version {context.source.reader.version.version}",
            ],
            shell.whose(context.source),
        ),
        key="cm_head",
    )
    if last is not None and last.outcome in ("stopped", "failed"):
        text = f"{fmt.sentence(last.reason)} The figures are those of the version published before; nothing of that run is shown."
        context.html(
            markup.state(f"The last run on {fmt.moment(last.at, context.source.time_zone)} published nothing", text),
            key="cm_unpublished",
        )
    if alerts:
        context.html(coverage.alert_list(alerts), key="cm_alerts")
    sees_whole = not context.source.reader.scope.is_restricted
    figures = _figures(
        health, alerts, context.source.findings, last, sees_whole=sees_whole, time_zone=context.source.time_zone
    )
    context.html(_facts(figures), key="cm_tiles")
    blocks.section(
        "What came, day by day",
        "Rows by the day of their record. Shaded: rows expected from the feed's history. In colour: missing, fewer or more than expected",
    )
    context.html(coverage.strips(health.coverage, health.rhythms, alerts), key="cm_coverage")
    if sees_whole:
        reconciliation.section(context, health, alerts)
    plausibility.section(context, health)
    health_tables.feeds(context, health.feeds)
    if sees_whole:
        _whole_tenant(context, health)


def _whole_tenant(context: PageContext, health: Health) -> None:
    """Tables of rows and money of the whole tenant."""
    blocks.columns(
        [
            lambda: health_tables.quarantine(context, health.quarantine),
            lambda: health_tables.refused(context, health.refused_units),
            lambda: health_matches.unmatched_references(context, health.unmatched_references),
            lambda: health_matches.remittances(context, health.remittance_matches),
        ]
    )
    health_matches.unknown_words(context, health.unknown_words)
    health_matches.notices(context, health.notices)
    health_matches.conflicts(context, health.conflicts)
    health_matches.visits(context, health.visits)
    health_tables.deleted(context, health.deleted)
    health_tables.batches(context, health.batches)


def _figures(
    health: Health,
    alerts: list[dict[str, Any]],
    findings: Sequence[Finding],
    last: LastRun | None,
    *,
    sees_whole: bool,
    time_zone: str,
) -> list[tuple[str, str, str]]:
    """The tiles: name, value and note. Rows of the whole tenant are for those who see the whole."""
    read, landed, quarantined = (_total(health.batches, f"rows_{name}") for name in ("read", "landed", "quarantined"))
    refused, feeds = health.refused_units.height, health.feeds.height
    bad = {row["feed"] for row in health.feeds.iter_rows(named=True) if _is_bad(row)}
    bad |= {alert["feed"] for alert in alerts}
    rows = [
        ("Rows read", fmt.grouped(read), _balance(read, landed, quarantined)),
        ("Quarantined", fmt.grouped(quarantined), _kept_back(quarantined, read, refused)),
        reconciliation.tile(health),
    ]
    return [
        ("Feeds in order", f"{feeds - len(bad)} of {feeds}", _feeds_note(alerts, bad)),
        *(rows if sees_whole else ()),
        plausibility.tile(findings),
        (
            "Last run",
            OUTCOMES.get(last.outcome, last.outcome) if last else fmt.DASH,
            fmt.moment(last.at, time_zone) if last else "",
        ),
    ]


def _feeds_note(alerts: list[dict[str, Any]], bad: set[str]) -> str:
    """The problems of feeds that are not in order."""
    in_part = len(bad - {alert["feed"] for alert in alerts})
    parts = [_alerts_note(alerts)] if alerts else []
    parts += [f"{in_part} not read whole"] if in_part else []
    return ", ".join(parts) or "none stopped"


def _alerts_note(alerts: list[dict[str, Any]]) -> str:
    words = {"stopped": "stopped", "short": "too little", "unreadable": "not read"}
    kinds = [words.get(alert["kind"], alert["kind"]) for alert in alerts]
    return ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))


def _is_bad(row: dict[str, Any]) -> bool:
    """Whether a feed brought less than it should. A feed in an unknown state counts as bad."""
    return str(row.get("outcome") or "") not in ("landed", "unchanged")


def _finding(health: Health) -> str:
    bad_feeds = len([row for row in health.feeds.iter_rows(named=True) if _is_bad(row)])
    quarantined, refused = _total(health.batches, "rows_quarantined"), health.refused_units.height
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


def _kept_back(part: int, whole: int, refused: int) -> str:
    files = fmt.plural(refused, "file") + " refused"
    return f"{fmt.exact(fmt.decimal(part) / whole, 'percent')} of what was read; {files}" if whole else files


def _facts(facts: list[tuple[str, str, str]]) -> Markup:
    template = Markup(
        '<article class="cm-tile cm-fact"><header><h3>{}</h3></header>'
        '<p class="cm-value"><b>{}</b></p><p class="cm-change"><span>{}</span></p></article>'
    )
    return markup.tile_row([template.format(*fact) for fact in facts])
