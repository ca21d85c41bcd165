"""The notice of closed months on a page: which figures of its period were closed as something else, and why. Pure.

The notice gives the most important figure of the page that changed, as closed and as it is now. Then it counts the other changed figures.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from markupsafe import Markup

from dashboards import format as fmt
from dashboards import markup
from serving.closed_months.view import Change
from serving.modules import PAGES

SENTENCES = 3


def lines(page: str, changes: Iterable[Change], time_zone: str, *, in_part: bool = False) -> list[str]:
    """A sentence for each closed month of which a figure of the page is another one now; the latest months first.

    `in_part`: the page shows a payer class or the like alone, so that its figures are not those of the sentence.
    """
    by_month: dict[date, list[Change]] = {}
    for change in changes:
        if change.metric in figures_of(page):
            by_month.setdefault(change.close.month, []).append(change)
    return [
        _sentence(page, by_month[month], time_zone, in_part=in_part)
        for month in sorted(by_month, reverse=True)[:SENTENCES]
    ]


def figures_of(page: str) -> tuple[str, ...]:
    """The metrics of a page, the most important first; none for a page that shows no figures."""
    return PAGES[page].figures if page in PAGES else ()


def _sentence(page: str, changes: Sequence[Change], time_zone: str, *, in_part: bool) -> str:
    order = figures_of(page)
    lead, *others = sorted(changes, key=lambda change: order.index(change.metric))
    on = fmt.day(local_day(lead.close.closed_at, time_zone))
    closed, now = values(lead)
    of_all = ", not only of what is chosen here" if in_part else ""
    label = fmt.lower_first(lead.label)
    more = f" {fmt.plural(len(others), 'other figure')} of this page changed too." if others else ""
    return (
        f"{lead.close.month:%B %Y} was closed on {on} with {closed} ({label}{of_all}); it is {now} now: "
        f"{why(lead.causes)}.{more}"
    )


def values(change: Change) -> tuple[str, str]:
    """(closed, now), in short form if the short forms differ."""
    short = fmt.short(change.closed, change.unit), fmt.short(change.now, change.unit)
    return (
        short if short[0] != short[1] else (fmt.exact(change.closed, change.unit), fmt.exact(change.now, change.unit))
    )


def local_day(moment: datetime, time_zone: str) -> date:
    """The day of a moment (UTC) in the time zone of the tenant."""
    return moment.astimezone(ZoneInfo(time_zone)).date()


def why(causes: Iterable[Mapping[str, Any]]) -> str:
    """The causes of a change in a few words: the kind of late rows, their feed, the number of records."""
    late: dict[str, dict[str, set[Any]]] = {}
    texts: list[str] = []
    more = 0
    for cause in causes:
        kind = cause["kind"]
        if kind in ("late", "related", "deleted"):
            verb = "deleted" if kind == "deleted" else "brought"
            record = (cause["record_kind"] or cause["entity"] or "record").replace("_", " ")
            record_key = cause["record_id"] or (cause["cause_set"], cause["ordinal"])
            late.setdefault(f"{cause['feed']}/{verb}", {}).setdefault(record, set()).add(record_key)
        elif kind == "more":
            more += cause["rows"]
        elif (text := _WORDS.get(kind)) and text not in texts:
            texts.append(text)
    sentences = []
    for name, records in sorted(late.items()):
        feed, _, verb = name.partition("/")
        counted = [fmt.plural(len(record_key), record) for record, record_key in sorted(records.items())]
        sentences.append(
            f"feed {feed} deleted {_list(counted)}"
            if verb == "deleted"
            else f"feed {feed} later brought rows of {_list(counted)}"
        )
    if more:
        sentences.append(f"{more} more records changed")
    record_key = [*sentences, *texts]
    # What nothing explains is worth telling only where nothing else is.
    record_key = [text for text in record_key if text != _WORDS["unexplained"]] or record_key
    return "; ".join(record_key) or _WORDS["unexplained"]


_WORDS = {
    "definition": "its definition changed",
    "merged": "patients were merged or un-merged",
    "reference": "a payer, provider or unit was changed",
    "unexplained": "nothing that arrived since explains it",
}


def _list(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def banner(sentences: Sequence[str], action: str) -> Markup:
    """The sentences as one notice that leads to the closed months."""
    return markup.notice(sentences, link=("Closed months", action))
