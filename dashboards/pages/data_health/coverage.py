"""What came, day by day: alerts, and a strip a feed of rows received against the band expected. Pure: frames in, markup out."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import polars as pl
from markupsafe import Markup

from dashboards import format as fmt
from dashboards import markup
from serving.modules.entities import nouns_of

DAY, HEIGHT = 10, 48
STATUS_WORDS = {
    "as_expected": "as expected",
    "short": "fewer than expected",
    "above": "more than expected",
    "missing": "missing",
    "not_yet_known": "not judged yet",
    "closed_day": "none expected",
}
WHAT_TO_DO = {
    "stopped": "Ask the sender whether the feed is still sent. Days that arrive later are filled in.",
    "short": "Ask the sender whether a site or a kind of record is missing.",
    "unreadable": "See the refused files below, or ask the administrator of the pipeline.",
}
Row = Mapping[str, Any]


def finding(alerts: Sequence[Row]) -> str:
    """The alerts as a headline; empty where there is none."""
    if not alerts:
        return ""
    days = [alert["since"] for alert in alerts if alert["since"] is not None]
    if len(alerts) > 1:
        since = f"; figures from {fmt.day(min(days))} on are incomplete" if days else ""
        return f"{len(alerts)} feeds need attention{since}"
    (alert,) = alerts
    nouns = nouns_of(alert["entities"] or ())
    what = nouns[0] if nouns else "rows"
    if alert["kind"] == "stopped":
        return f"Feed {alert['feed']} stopped on {fmt.day(alert['since'])}; {what} since then are missing"
    if alert["kind"] == "short":
        return f"Feed {alert['feed']} brings much less than it should since {fmt.day(alert['since'])}"
    return f"Feed {alert['feed']} could not be read; its {what} stand as they were"


def alert_list(alerts: Sequence[Row]) -> Markup:
    """Every alert in a sentence, and what to do about it."""
    return markup.alerts((alert["message"], WHAT_TO_DO.get(alert["kind"], "")) for alert in alerts)


def strips(coverage: pl.DataFrame, rhythms: pl.DataFrame, alerts: Sequence[Row]) -> Markup:
    """A line a feed: its rhythm, its days, its state. Feeds of an alert stand first."""
    alarmed = {alert["feed"]: alert for alert in alerts}
    rhythm_of = {row["feed"]: row for row in rhythms.iter_rows(named=True)}
    days = {str(key[0]): frame.sort("day").to_dicts() for key, frame in coverage.group_by("feed")}
    names = sorted(rhythm_of, key=lambda name: (name not in alarmed, name))
    shown = coverage["day"].unique().sort().to_list()
    if not names or not shown:
        return markup.state(
            "Nothing to show yet", "No feed has been read since days are counted. The next run fills this."
        )
    lines = markup.join(_line(rhythm_of[name], days.get(name, []), shown, alarmed.get(name)) for name in names)
    return Markup(
        '<div class="cm-coverage"><div class="cm-axis"><i></i><span>{}</span><span>{}</span><i></i></div>{}</div>'
    ).format(fmt.day(shown[0]), fmt.day(shown[-1]), lines)


def _line(rhythm: Row, days: Sequence[Row], shown: Sequence[date], alert: Row | None) -> Markup:
    return Markup(
        '<div class="cm-feed{tone}"><p><b>{feed}</b><small>{usual}</small></p>{strip}<p>{mark}<span>{state}</span></p></div>'
    ).format(
        tone=" cm-bad" if alert else "",
        feed=rhythm["feed"],
        usual=usual(rhythm),
        strip=strip(days, shown, rhythm["feed"]),
        mark=markup.MARKS["bad"] if alert else "",
        state=_state(rhythm, days, alert),
    )


def usual(rhythm: Row) -> str:
    """The usual number of rows of a feed, in words."""
    if rhythm["rhythm"] == "daily":
        return f"about {fmt.grouped(rhythm['usual_rows'])} rows a day" if rhythm["usual_rows"] else "a few rows a day"
    if rhythm["rhythm"] == "periodic":
        return f"about {fmt.grouped(rhythm['usual_rows'])} rows every {rhythm['period_days']} days"
    return "no rhythm known yet"


def _state(rhythm: Row, days: Sequence[Row], alert: Row | None) -> str:
    if alert is not None and alert["kind"] == "stopped":
        return f"Stopped on {fmt.day(alert['since'])}"
    if alert is not None:
        return f"Too little since {fmt.day(alert['since'])}" if alert["kind"] == "short" else "Could not be read"
    if rhythm["rhythm"] == "unknown":
        return "Not judged: too few days to learn from"
    missing = [day["day"] for day in days if day["status"] == "missing"]
    if missing:
        return f"{fmt.plural(len(missing), 'day')} missing, the last {fmt.day(missing[-1])}"
    outside = {status: len([day for day in days if day["status"] == status]) for status in ("short", "above")}
    parts = [f"{fmt.plural(count, 'day')} {STATUS_WORDS[status]}" for status, count in outside.items() if count]
    return ", ".join(parts).capitalize() if parts else "As expected"


def strip(days: Sequence[Row], shown: Sequence[date], feed: str) -> Markup:
    """The days of one feed as bars over the band expected; a missing day is a filled column, each day says its figures."""
    by_day = {day["day"]: day for day in days}
    highs = [day["high"] for day in days if day["high"] is not None]
    # A backfill must not flatten everything else: bars end at the top of the band, and their colour says so.
    top = max([*highs] or [day["received"] for day in days] or [1]) or 1
    bars = markup.join(_day(by_day[day], at * DAY, top) for at, day in enumerate(shown) if day in by_day)
    return Markup(
        '<svg class="cm-strip" viewBox="0 0 {width} {height}" preserveAspectRatio="none" role="img" '
        'aria-label="Rows by day of feed {feed}">{bars}<path d="M0 {height}H{width}" class="base"/></svg>'
    ).format(width=len(shown) * DAY, height=HEIGHT, feed=feed, bars=bars)


def _day(day: Row, left: int, top: int) -> Markup:
    def height(value: int) -> float:
        return min(value / top, 1.0) * (HEIGHT - 2)

    parts = []
    if day["status"] == "missing":
        parts.append(_box("missing", left, 0, DAY, HEIGHT))
    elif day["high"] is not None and (day["expected"] or day["low"]):
        parts.append(_box("band", left, HEIGHT - height(day["high"]), DAY, height(day["high"]) - height(day["low"])))
    if day["received"]:
        parts.append(_box(day["status"], left + 2, HEIGHT - height(day["received"]), DAY - 4, height(day["received"])))
    target = _box("hit", left, 0, DAY, HEIGHT)
    return Markup("<g><title>{}</title>{}{}</g>").format(_hover(day), target, markup.join(parts))


def _box(kind: str, left: float, above: float, width: float, height: float) -> Markup:
    return Markup('<rect class="{}" x="{:g}" y="{:.1f}" width="{:g}" height="{:.1f}"/>').format(
        kind, left, above, width, max(height, 1)
    )


def _hover(day: Row) -> str:
    usual = f" of about {fmt.grouped(day['expected'])}" if day["expected"] else ""
    return f"{day['day']:%a} {fmt.day(day['day'])}: {fmt.grouped(day['received'])}{usual} rows, {STATUS_WORDS[day['status']]}"
