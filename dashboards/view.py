"""What a page shows, as its URL says it: period, comparison, place, provider, payer class. Pure.

The URL is the only memory of a page: links, reload, back and bookmarks all lead to the same view. Every value in it is
user input, is checked here or against what the reader may see, and names no patient.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from urllib.parse import parse_qsl, urlencode

from dashboards import period as periods
from dashboards.period import Period

_IDENTIFIER = re.compile(r"[^\x00-\x1f\x7f]{1,200}")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,60}")
TODAY = "today"
ALL_ROWS, COUNTED_ROWS = "all", "counted"


@dataclass(frozen=True)
class View:
    """One view. `place` and `provider` are ids, None for the whole organization; `payer` a payer class, None for all.

    `restated` tells the past with the tree of units and the payer classes of today.
    `basis` is the payer-mix basis, `rows` the metric whose rows are open, `page` the page of those rows from 1, `metric`
    the figure that the lineage page is about. `counted_only` lists, of a share of rows, only the rows above the line.
    """

    period: Period
    compare: str = "before"
    place: str | None = None
    provider: str | None = None
    payer: str | None = None
    restated: bool = False
    basis: str | None = None
    rows: str | None = None
    counted_only: bool = True
    page: int = 1
    metric: str | None = None

    @property
    def compared(self) -> Period:
        return self.period.compared(self.compare)

    def params(self, *, shared_only: bool = False) -> dict[str, str]:
        """The URL's query parameters, without those that are as by default."""
        found: dict[str, str] = {}
        if self.period.key != periods.DEFAULT:
            found["period"] = self.period.key
        if self.compare != "before":
            found["compare"] = self.compare
        for name in ("place", "provider", "payer"):
            if getattr(self, name):
                found[name] = getattr(self, name)
        if self.restated:
            found["told"] = TODAY
        if not shared_only:
            for name in ("basis", "rows", "metric"):
                if getattr(self, name):
                    found[name] = getattr(self, name)
            if self.rows and not self.counted_only:
                found["which"] = ALL_ROWS
            if self.page > 1:
                found["page"] = str(self.page)
        return found

    def moved(self, **changes: object) -> "View":
        """The view with some values changed. Another place, provider, payer or period closes open rows' pages."""
        if "page" not in changes:
            changes["page"] = 1
        return replace(self, **changes)  # type: ignore[arg-type]


def _matching(pattern: re.Pattern[str], value: str | None) -> str | None:
    return value if value and pattern.fullmatch(value) else None


def parse(params: Mapping[str, str], as_of: date) -> View:
    """The view of a URL. Values that mean nothing are left out, so that an old link still opens."""
    page = params.get("page", "1")
    return View(
        period=periods.parse(params.get("period"), as_of),
        compare=params["compare"] if params.get("compare") in periods.COMPARISONS else "before",
        place=_matching(_IDENTIFIER, params.get("place")),
        provider=_matching(_IDENTIFIER, params.get("provider")),
        payer=_matching(_NAME, params.get("payer")),
        restated=params.get("told") == TODAY,
        basis=_matching(_NAME, params.get("basis")),
        rows=_matching(_NAME, params.get("rows")),
        metric=_matching(_NAME, params.get("metric")),
        counted_only=params.get("which") != ALL_ROWS,
        page=int(page) if page.isascii() and page.isdigit() and 0 < int(page) < 100_000 else 1,
    )


def encode(changes: Mapping[str, object]) -> str:
    """Changes of a view as a query string; None is the empty text."""
    return urlencode({name: "" if value is None else str(value) for name, value in changes.items()})


def moved_by(view: View, query: str) -> View:
    """The view after `encode`d changes. Unknown names and unreadable values change nothing: they come from a browser."""
    changes = dict(parse_qsl(query, keep_blank_values=True))
    wanted: dict[str, object] = {}
    for name in ("place", "provider"):
        if name in changes:
            wanted[name] = _matching(_IDENTIFIER, changes[name])
    for name in ("payer", "basis", "rows", "metric"):
        if name in changes:
            wanted[name] = _matching(_NAME, changes[name])
    if "rows" in changes or "which" in changes:
        wanted["counted_only"] = changes.get("which") != ALL_ROWS
    if (
        "page" in changes
        and changes["page"].isascii()
        and changes["page"].isdigit()
        and 0 < int(changes["page"]) < 100_000
    ):
        wanted["page"] = int(changes["page"])
    return view.moved(**wanted) if wanted else view
