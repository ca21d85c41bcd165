"""What a page shows, as its URL says it: period, comparison, place, filters, the figure whose passport is open. Pure.

The URL is the only memory of a page: links, reload, back and bookmarks all lead to the same view. Every value in it is
user input, is checked here or against what the reader may see, and names no patient.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any
from urllib.parse import parse_qsl, urlencode

from dashboards import period as periods
from dashboards.period import Period
from serving.report_definition import CHART, MOST_BREAKDOWNS, MOST_METRICS, TABLE

_IDENTIFIER = re.compile(r"[^\x00-\x1f\x7f]{1,200}")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,60}")
_COLUMN = re.compile(r"-?[a-z][a-z0-9_]{0,60}")
_MONTH = re.compile(r"(\d{4})-(\d{2})")
_REPORT = re.compile(r"[0-9a-f]{12}")
_AS_OF = re.compile(r"[A-Za-z0-9:/._-]{1,80}")
TODAY = "today"
ALL_ROWS, COUNTED_ROWS = "all", "counted"
# Filters beside place, provider and payer class: what the URL calls them, and the registry's dimension.
FILTERS = {
    "payer_id": "payer",
    "carc": "carc",
    "denial_category": "denial_category",
    "visit_type": "visit_type",
    "weekday": "weekday",
    "hour": "hour_of_day",
    "lead_time_band": "lead_time_band",
    "reminder_channel": "reminder_channel",
    "ageing_bucket": "ageing_bucket",
    "prior_no_show_band": "prior_no_show_band",
    "reminder_notice_band": "reminder_notice_band",
    "furthest_stage": "furthest_stage",
    "takeback_kind": "takeback_kind",
    "staff_role": "staff_role",
    "item_code": "item_code",
    "procedure_code": "procedure_code",
    "evaluation_level": "evaluation_level",
    "evaluation_group": "evaluation_group",
    "diagnosis_chapter": "diagnosis_chapter",
    "diagnosis_category": "diagnosis_category",
    "age_band": "age_band",
    "sex": "sex",
    "language": "language",
    "zip3": "zip3",
    "patient_kind": "patient_kind",
    "charge_lag_band": "charge_lag_band",
    "payer_lag_band": "payer_lag_band",
    "months_after_service": "months_after_service",
}
URL_NAMES = {dimension: name for name, dimension in FILTERS.items()}
# All that an address may hold. Anything else is refused by name (`dashboards.filters`).
PARAMETERS = frozenset(
    {
        *("period", "compare", "place", "provider", "payer", "told", "basis", "rows", "which", "page", "metric"),
        *("month", "figure", "at", "sort", "as_of", "against", "next", "section"),
        *("report", "measures", "by", "shown"),
        *FILTERS,
    }
)
Filter = tuple[str, tuple[str, ...]]


@dataclass(frozen=True)
class View:
    """One view. `place` and `provider` are ids, None for the whole organization; `payer` a payer class, None for all.

    `filters` are further (dimension, values), sorted. `month` (its first day) narrows the page to one month; `period` is that
    month then, and `chosen` the period that the picker keeps. `restated` computes the past with the tree of units and the payer
    classes of today. `as_of` names an earlier version.
    `basis` is the payer-mix basis, `section` the section of a page that is open, `metric` the figure that the lineage page is about.
    `figure` is the metric whose passport is open and `at` what its mark changes in the view, as `encode` writes it;
    `counted_only` lists, of a share of rows, only the rows above the line, `sort` names a column (`-` for descending), `page` is
    the page of rows from 1. `against` is the other side of a comparison, as `encode` writes it. Of the report
    builder: `report` is the id of the saved report that is open, `measures` its metrics, `by` its breakdowns, `shown` how it is shown.
    """

    period: Period
    compare: str = "before"
    place: str | None = None
    provider: str | None = None
    payer: str | None = None
    restated: bool = False
    basis: str | None = None
    counted_only: bool = True
    page: int = 1
    metric: str | None = None
    filters: tuple[Filter, ...] = ()
    month: date | None = None
    chosen: Period | None = None
    figure: str | None = None
    at: str = ""
    sort: str | None = None
    as_of: str | None = None
    against: str = ""
    section: str | None = None
    report: str | None = None
    measures: tuple[str, ...] = ()
    by: tuple[str, ...] = ()
    shown: str | None = None

    @property
    def compared(self) -> Period:
        return self.period.compared(self.compare)

    def values(self, dimension: str) -> tuple[str, ...]:
        """The values that a dimension is filtered by; empty where it is not."""
        return dict(self.filters).get(dimension, ())

    def params(self, *, shared_only: bool = False) -> dict[str, Any]:
        """The URL's query parameters, without those that are as by default. A filter by several values is a list."""
        params: dict[str, Any] = {}
        kept = self.chosen or self.period
        if kept.key != periods.DEFAULT:
            params["period"] = kept.key
        if self.compare != "before":
            params["compare"] = self.compare
        for name in ("place", "provider", "payer"):
            if getattr(self, name):
                params[name] = getattr(self, name)
        if self.month:
            params["month"] = f"{self.month:%Y-%m}"
        for dimension, values in self.filters:
            params[URL_NAMES[dimension]] = values[0] if len(values) == 1 else list(values)
        if self.restated:
            params["told"] = TODAY
        if self.as_of:
            params["as_of"] = self.as_of
        if not shared_only:
            for name in ("basis", "section", "metric", "figure", "at", "sort", "against", "report", "shown"):
                if getattr(self, name):
                    params[name] = getattr(self, name)
            for name in ("measures", "by"):
                if getattr(self, name):
                    params[name] = list(getattr(self, name))
            if self.figure and not self.counted_only:
                params["which"] = ALL_ROWS
            if self.page > 1:
                params["page"] = str(self.page)
        return params

    def moved(self, **changes: object) -> "View":
        """The view with some values changed. Another place, filter or period goes back to the first page of rows."""
        if "page" not in changes:
            changes["page"] = 1
        if "period" in changes:
            changes |= {"month": None, "chosen": None}
        return replace(self, **changes)  # type: ignore[arg-type]

    def filtered(self, dimension: str, values: Sequence[str]) -> "View":
        """The view with a filter set, or taken away where there are no values."""
        kept = {name: chosen for name, chosen in self.filters if name != dimension}
        if values:
            kept[dimension] = tuple(values)
        return self.moved(filters=tuple(sorted(kept.items())))

    def in_month(self, month: date | None) -> "View":
        """The view narrowed to a month, or back at the period that the picker keeps."""
        chosen = self.chosen or self.period
        if month is None:
            return self.moved(period=chosen)
        first = periods.month_start(month)
        end = periods.month_end(month)
        return replace(
            self, period=Period(first, end, periods.range_key(first, end)), month=first, chosen=chosen, page=1
        )

    def opened(self, figure: str | None, at: str = "") -> "View":
        """The view with a figure's passport open; closed for None."""
        return self.moved(figure=figure, at=at if figure else "", sort=None, counted_only=True, against="")

    @property
    def of_figure(self) -> "View":
        """The view of the open passport: the view of the page, changed by the mark."""
        return moved_by(self, self.at)


def _matching(pattern: re.Pattern[str], value: str | None) -> str | None:
    return value if value and pattern.fullmatch(value) else None


def _month(value: str | None) -> date | None:
    match = _MONTH.fullmatch(value or "")
    if match is None or not 1 <= int(match[2]) <= 12 or not 1990 <= int(match[1]) <= 2100:
        return None
    return date(int(match[1]), int(match[2]), 1)


def _names(pairs: Iterable[tuple[str, str]], name: str, most: int) -> tuple[str, ...]:
    """The first values of a parameter that are names, each once."""
    values = [value for key, value in pairs if key == name and _NAME.fullmatch(value)]
    return tuple(dict.fromkeys(values))[:most]


def _page(value: str) -> int:
    return int(value) if value.isascii() and value.isdigit() and 0 < int(value) < 100_000 else 1


def _query(params: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Parameters as pairs: one that holds a list comes once for each of its values."""
    return [
        (name, str(value)) for name, held in params.items() for value in ([held] if isinstance(held, str) else held)
    ]


def parse(params: Mapping[str, Any], as_of: date) -> View:
    """The view of a URL; a parameter is a text or a list of texts. Values that mean nothing are left out, so that an old link
    still opens: `rows` of earlier releases opens the passport."""
    single = dict(_query(params))
    figure = _matching(_NAME, single.get("figure") or single.get("rows"))
    view = View(
        period=periods.parse(single.get("period"), as_of),
        compare=single["compare"] if single.get("compare") in periods.COMPARISONS else "before",
        place=_matching(_IDENTIFIER, single.get("place")),
        provider=_matching(_IDENTIFIER, single.get("provider")),
        payer=_matching(_NAME, single.get("payer")),
        restated=single.get("told") == TODAY,
        basis=_matching(_NAME, single.get("basis")),
        section=_matching(_NAME, single.get("section")),
        metric=_matching(_NAME, single.get("metric")),
        counted_only=single.get("which") != ALL_ROWS,
        figure=figure,
        at=single.get("at", "")[:2000] if figure else "",
        sort=_matching(_COLUMN, single.get("sort")) if figure else None,
        as_of=_matching(_AS_OF, single.get("as_of")),
        against=single.get("against", "")[:2000] if figure else "",
        report=_matching(_REPORT, single.get("report")),
        measures=_names(_query(params), "measures", MOST_METRICS),
        by=_names(_query(params), "by", MOST_BREAKDOWNS),
        shown=single["shown"] if single.get("shown") in (TABLE, CHART) else None,
    )
    view = _with_filters(view, _query(params))
    month = _month(single.get("month"))
    view = view.in_month(month) if month else view
    return replace(view, page=_page(single.get("page", "1")))


def _with_filters(view: View, pairs: Iterable[tuple[str, str]]) -> View:
    """The view with the filters that pairs of (URL name, value) name; an empty value takes a filter away."""
    asked: dict[str, list[str]] = {}
    for name, value in pairs:
        if name in FILTERS:
            asked.setdefault(FILTERS[name], []).append(value)
    for dimension, values in asked.items():
        valid = [value for value in values if _matching(_IDENTIFIER, value)]
        if valid or "" in values:
            view = view.filtered(dimension, sorted(set(valid)))
    return view


def encode(changes: Mapping[str, object]) -> str:
    """Changes of a view as a query string; None is the empty text, a list stands once for each of its values."""
    flat = {
        name: list(value) if isinstance(value, list | tuple) else "" if value is None else str(value)
        for name, value in changes.items()
    }
    return urlencode(flat, doseq=True)


def pairs_of(query: str) -> list[tuple[str, str]]:
    """`encode`d changes as pairs of name and value; none where there are absurdly many."""
    try:
        return parse_qsl(query, keep_blank_values=True, max_num_fields=200)
    except ValueError:
        return []


def pairs_by_name(query: str) -> dict[str, list[str]]:
    """`encode`d changes as name to its values."""
    pairs: dict[str, list[str]] = {}
    for name, value in pairs_of(query):
        pairs.setdefault(name, []).append(value)
    return pairs


def joined(query: str, changes: Mapping[str, object]) -> str:
    """`encode`d changes with some of them replaced."""
    kept = [(name, value) for name, value in pairs_of(query) if name not in changes]
    return "&".join(part for part in (urlencode(kept), encode(changes)) if part)


def moved_by(view: View, query: str) -> View:
    """The view after `encode`d changes. Unknown names and unreadable values change nothing: they come from a browser."""
    pairs = pairs_of(query)
    changes = dict(pairs)
    wanted: dict[str, object] = {}
    for name in ("place", "provider"):
        if name in changes:
            wanted[name] = _matching(_IDENTIFIER, changes[name])
    for name in ("payer", "basis", "section", "metric"):
        if name in changes:
            wanted[name] = _matching(_NAME, changes[name])
    if "measures" in changes:
        wanted["measures"] = _names(pairs, "measures", MOST_METRICS)
    period = periods.explicit(changes.get("period"))
    if period is not None:
        wanted["period"] = period
    if "as_of" in changes:
        wanted["as_of"] = _matching(_AS_OF, changes["as_of"])
    if "told" in changes:
        wanted["restated"] = changes["told"] == TODAY
    if "sort" in changes:
        wanted["sort"] = _matching(_COLUMN, changes["sort"])
    if "which" in changes:
        wanted["counted_only"] = changes["which"] != ALL_ROWS
    if "against" in changes:
        wanted["against"] = changes["against"][:2000]
    if "figure" in changes:
        view = view.opened(_matching(_NAME, changes["figure"]), changes.get("at", "")[:2000])
    if "page" in changes:
        wanted["page"] = _page(changes["page"])
    moved = view.moved(**wanted) if wanted else view
    moved = _with_filters(moved, pairs)
    if "month" in changes:
        moved = moved.in_month(_month(changes["month"]))
    return moved
