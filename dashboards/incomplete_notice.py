"""What a page must say of feeds that stopped: which of its figures lack something since when. Pure.

A page rests on entities (`serving.modules`), a feed brings entities: where a feed of an alert brings one that the page rests on,
the page says so in a line at its top.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from markupsafe import Markup

from dashboards import format as fmt
from dashboards import markup
from serving.modules import PAGES
from serving.modules.entities import nouns_of

MOST_NAMED = 3


def lines(page: str, alerts: Iterable[Mapping[str, Any]], until: date) -> list[str]:
    """A sentence for each feed of an alert on which the page rests; empty where all is well.

    `until` is the last day that the page shows: figures of a period that ended before a feed stopped lack nothing.
    """
    sentences = []
    for alert in alerts:
        what = _nouns(page, alert["entities"])
        if what:
            sentences.append(_sentence(alert, what, until))
    return sentences


def refusals(page: str, refused: Iterable[Mapping[str, Any]]) -> list[str]:
    """A sentence for each feed of which files were refused and on which the page rests: (feed, files, entities) each."""
    sentences = []
    for row in refused:
        what = _nouns(page, row["entities"])
        if what:
            files = f"{row['files']} files" if row["files"] > 1 else "1 file"
            verb = "were" if row["files"] > 1 else "was"
            which = "they hold" if row["files"] > 1 else "it holds"
            sentences.append(f"{files} of feed {row['feed']} {verb} refused: the {what} that only {which} are missing.")
    return sentences


def _nouns(page: str, brought: Iterable[str] | None) -> str:
    """The rows of a feed on a page, in words; empty if the page shows no figures from them."""
    resting = set(PAGES[page].entities) if page in PAGES else set()
    nouns = nouns_of(resting & set(brought or ()))
    named = nouns if len(nouns) <= MOST_NAMED else [*nouns[: MOST_NAMED - 1], "more"]
    return f"{', '.join(named[:-1])} and {named[-1]}" if len(named) > 1 else "".join(named)


def _sentence(alert: Mapping[str, Any], what: str, until: date) -> str:
    feed, since = alert["feed"], fmt.day(alert["since"])
    is_touched = alert["since"] is None or until >= alert["since"]
    where = "in these figures" if is_touched else "in later figures; this period ends before that"
    if alert["kind"] == "stopped":
        return f"Feed {feed} stopped: {what} from {since} on are missing {where}."
    if alert["kind"] == "short":
        return f"Feed {feed} brings much less than it should: {what} from {since} on are too few {where}."
    return f"Feed {feed} could not be read: {what} stand as they were when it last could."


def banner(sentences: list[str], action: str) -> Markup:
    """The lines as one notice; with an action it leads to Data health."""
    return markup.notice(sentences, icon=markup.MARKS["bad"], link=("Data health", action))
