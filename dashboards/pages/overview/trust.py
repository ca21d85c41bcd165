"""Can these figures be trusted? One line for each thing they rest on: feeds, what has settled, what feeds say that cannot be."""

from collections.abc import Mapping
from dataclasses import dataclass

from dashboards import format as fmt
from dashboards import shell
from dashboards.data import Source
from dashboards.figures import Figure
from dashboards.view import View

PAGE = "overview"
MOST_FEEDS = 2


@dataclass(frozen=True, kw_only=True)
class Line:
    """`kind` is good, caution or bad; `text` is the fact, `more` its meaning for the figures."""

    kind: str
    text: str
    more: str


def lines(source: Source, view: View, loaded: Mapping[str, Figure]) -> list[Line]:
    """The feeds, findings and closes behind the figures of this view: good and bad news alike."""
    return [
        *_feeds(source, view),
        *_settled(view, loaded),
        *_findings(loaded),
        Line(
            kind="good",
            text="Rows and money agree from feeds to figures",
            more=f"else nothing is published; published {fmt.moment(source.reader.published_at, source.time_zone)}",
        ),
    ]


def _feeds(source: Source, view: View) -> list[Line]:
    gaps = shell.gaps(source, PAGE, view.period.end)
    lines = [Line(kind="bad", text=sentence, more="") for sentence in gaps[:MOST_FEEDS]]
    more = len(gaps) - len(lines)
    if more:
        lines.append(Line(kind="bad", text=fmt.plural(more, "more gap"), more="of feeds; Data health names them"))
    if not lines:
        lines.append(Line(kind="good", text="All feeds in order", more=f"data to {fmt.day(source.as_of)}"))
    return lines


def _settled(view: View, loaded: Mapping[str, Figure]) -> list[Line]:
    """How many of the period's claims are answered; nothing for who has no claims."""
    answered, claims = (loaded[name].value if name in loaded else None for name in ("remitted_claims", "claims"))
    if not answered or not claims:
        return []
    share = min(fmt.decimal(answered) / fmt.decimal(claims), fmt.decimal(1))
    text = f"{fmt.short(share, 'percent')} of the claims of {view.period.name} are answered"
    waiting = [figure for figure in loaded.values() if figure.caution and not figure.problem]
    if not waiting:
        return [Line(kind="good", text=text, more="rates that wait for payers have settled")]
    compared = any(not figure.uncompared and figure.before_known_by for figure in waiting)
    more = "rates that still move are compared at equal age" if compared else "rates that still move are not compared"
    return [Line(kind="caution", text=text, more=more)]


def _findings(loaded: Mapping[str, Figure]) -> list[Line]:
    doubts = list(dict.fromkeys(title for figure in loaded.values() for title in figure.doubts))
    if not doubts:
        return []
    more = (
        f"and {len(doubts) - 1} more; figures that it touches say so"
        if len(doubts) > 1
        else "figures that it touches say so"
    )
    return [Line(kind="bad", text=f"May be wrong: {fmt.lower_first(doubts[0])}", more=more)]
