"""What a page must say of feeds that stopped: which of its figures lack something since when. Pure.

A page rests on entities (`serving.modules`), a feed brings entities: where a feed of an alert brings one that the page rests on,
the page says so in a line at its top.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from dashboards import format as fmt
from dashboards import markup
from serving.modules import PAGES
from serving.modules.entities import NOUNS

MOST_NAMED = 3


def lines(page: str, alerts: Iterable[Mapping[str, Any]], until: date) -> list[str]:
    """A sentence for each feed of an alert on which the page rests; empty where all is well.

    `until` is the last day that the page shows: figures of a period that ended before a feed stopped lack nothing.
    """
    found = []
    resting = set(PAGES[page].entities) if page in PAGES else set()
    for alert in alerts:
        brought = set(alert["entities"] or ())
        nouns = dict.fromkeys(NOUNS[entity] for entity in NOUNS if entity in resting & brought)
        if nouns:
            found.append(_sentence(alert, list(nouns), until))
    return found


def _sentence(alert: Mapping[str, Any], nouns: list[str], until: date) -> str:
    named = nouns if len(nouns) <= MOST_NAMED else [*nouns[: MOST_NAMED - 1], "more"]
    what = f"{', '.join(named[:-1])} and {named[-1]}" if len(named) > 1 else named[0]
    feed, since = alert["feed"], fmt.day(alert["since"])
    is_touched = alert["since"] is None or until >= alert["since"]
    where = "in these figures" if is_touched else "in later figures; this period ends before that"
    if alert["kind"] == "stopped":
        return f"Feed {feed} stopped: {what} from {since} on are missing {where}."
    if alert["kind"] == "short":
        return f"Feed {feed} brings much less than it should: {what} from {since} on are too few {where}."
    return f"Feed {feed} could not be read: {what} stand as they were when it last could."


def banner(sentences: list[str], action: str) -> str:
    """The lines as one notice; with an action it leads to Data health."""
    if not sentences:
        return ""
    text = "".join(f"<span>{markup.esc(sentence)}</span>" for sentence in sentences)
    link = (
        f'<button type="button" data-do="{markup.esc(action)}">Data health{markup.CHEVRON}</button>' if action else ""
    )
    return f'<div class="cm-incomplete" role="status">{markup.MARKS["bad"]}<p>{text}</p>{link}</div>'
