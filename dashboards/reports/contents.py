"""What stands in a report: the figures of a page in one view, asked as the page asks them. Reads through `Source`, draws nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from dashboards import annotations, as_of, blocks, breakdowns, figures, filters, shell
from dashboards import format as fmt
from dashboards.breakdowns import Level
from dashboards.data import Source
from dashboards.figures import Figure
from dashboards.pages.overview import page as overview
from dashboards.pages.payer_mix import page as payer_mix
from dashboards.pages.throughput import shared as throughput
from dashboards.period import Period
from dashboards.view import View
from serving.model import MetricDefinition
from serving.modules import Page
from serving.people.branding import PLAIN, Brand


@dataclass(frozen=True, kw_only=True)
class Table:
    """Figures by one or two dimensions: `nouns` name what a row is about, `rows` are (a name for each noun, values in the order of the
    metrics), `total` the values of all rows together, None where they do not add up to a figure. A value is None where there is no
    denominator or too few people are behind it."""

    nouns: tuple[str, ...]
    metrics: tuple[MetricDefinition, ...]
    rows: tuple[tuple[tuple[str, ...], tuple[Any, ...]], ...]
    total: tuple[Any, ...] | None

    @property
    def title(self) -> str:
        """By unit, or By month and payer class."""
        return f"By {' and '.join(self.nouns)}"

    @property
    def lines(self) -> tuple[tuple[tuple[str, ...], tuple[Any, ...]], ...]:
        """The rows, and below them the total where there is one."""
        total = () if self.total is None else ((("All", *[""] * (len(self.nouns) - 1)), self.total),)
        return (*self.rows, *total)


@dataclass(frozen=True, kw_only=True)
class Report:
    """A page in one view, for one person.

    `tenant` and `place` say whose figures these are; `filters` are (name, value) of the filters and of the base of shares in force.
    `version` names the earlier version that the figures are of; it is empty for the served one. `as_of` is the last day that the data
    reach; `published_at` and `asked_at` are in UTC, and shown in `time_zone`. `tiles` are the page's figures with their comparison.
    `cautions` are sentences on feeds that stopped, on closed months, on figures that still move, on doubtful feeds and on hidden
    values. `definitions` are the metrics that the report shows, each once. `annotations` are those of the tiles' months, a line each.
    `brand` is how the organization shows itself.
    """

    page: Page
    tenant: str
    place: str
    filters: tuple[tuple[str, str], ...]
    version: str
    period: Period
    compared: Period
    as_of: date
    published_at: datetime
    time_zone: str
    asked_by: str
    asked_at: datetime
    tiles: tuple[Figure, ...]
    table: Table | None
    cautions: tuple[str, ...]
    definitions: tuple[MetricDefinition, ...]
    annotations: tuple[str, ...] = ()
    brand: Brand = PLAIN

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """(name, value) of what every reader must know beside the figures."""
        period = self.period
        return (
            ("Organization", self.tenant),
            ("Place", self.place),
            *self.filters,
            *((("Earlier version", self.version),) if self.version else ()),
            ("Period", f"{period.name} ({period.dates})" if period.name != period.dates else period.name),
            ("Compared with", self.compared.name),
            ("Data as of", fmt.day(self.as_of)),
            ("Published", fmt.moment(self.published_at, self.time_zone)),
            ("Made for", self.asked_by),
            ("Made at", fmt.moment(self.asked_at, self.time_zone)),
        )


def shown_alone(source: Source, page: Page) -> tuple[str, ...]:
    """The metrics of a page that can be shown without the others; a share of payer mix is one for each payer class."""
    of_classes = page.tiles if page.key == payer_mix.KEY else ()
    return tuple(name for name in page.figures if name in source.metrics and name not in of_classes)


def contents(source: Source, page: Page, view: View, figure: str = "") -> Report:
    """The report of a page in a view that was checked (`filters.checked`); of one metric of `shown_alone` where `figure` names it."""
    tiles: tuple[Figure, ...]
    table: Table | None
    if figure:
        tiles, table = tuple(figures.load(source, view, [figure]).values()), None
    elif page.key == payer_mix.KEY:
        tiles, table = _payer_mix(source, view)
    else:
        tiles, table = _tiles(source, page, view), _table(source, page, view)
    return assembled(source, page, view, tiles, table)


def assembled(
    source: Source,
    page: Page,
    view: View,
    tiles: tuple[Figure, ...],
    table: Table | None,
    *,
    rests_on: str | None = None,
) -> Report:
    """A report of these figures: with the view in words, cautions and definitions. `rests_on` as of `cautions`; None for `page` itself."""
    metrics = [*(figure.metric for figure in tiles), *(table.metrics if table else ())]
    path = source.path(view.place)
    return Report(
        page=page,
        tenant=source.tenant_name,
        place=path[-1].name if path else source.scope_label or source.tenant_name,
        filters=_filters(source, page, view),
        version=as_of.name_of(source),
        period=view.period,
        compared=view.compared,
        as_of=source.as_of,
        published_at=source.reader.published_at,
        time_zone=source.time_zone,
        asked_by=source.principal.display_name or source.principal.email,
        asked_at=datetime.now(UTC),
        tiles=tiles,
        table=table,
        cautions=cautions(source, view, tiles, page.key if rests_on is None else rests_on),
        definitions=tuple({metric.name: metric for metric in metrics}.values()),
        annotations=_annotations(source, view, page, tiles),
        brand=source.brand,
    )


def _annotations(source: Source, view: View, page: Page, tiles: tuple[Figure, ...]) -> tuple[str, ...]:
    """The annotations of the tiles' months, as the charts of the page have them."""
    months = sorted({month for figure in tiles for month, _ in figure.trend})
    metrics = [figure.metric.name for figure in tiles]
    return tuple(mark.text for mark in annotations.of_view(source, view, page.key, metrics, months))


def _filters(source: Source, page: Page, view: View) -> tuple[tuple[str, str], ...]:
    basis = payer_mix.basis_of(source, view) if page.key == payer_mix.KEY else None
    chips = tuple((chip.name, chip.value) for chip in filters.chips(source, view) if chip.url_name != "month")
    restated = (("Units and payer classes", "As they are today"),) if source.restated else ()
    return (*((("Share of", basis.label),) if basis else ()), *chips, *restated)


def _tiles(source: Source, page: Page, view: View) -> tuple[Figure, ...]:
    """The figures of the page's tiles, those that the page leaves out left out here too."""
    if page.key == "overview":
        return tuple(overview.chosen_tiles(figures.load(source, view, overview.ASKED)).values())
    if page.key == throughput.PAGE.key:
        shown = throughput.shown_tiles(figures.load(source, view, throughput.ASKED))
    else:
        shown = figures.load(source, view, page.tiles)
    return tuple(blocks.worth_a_tile(shown.values()))


def _table(source: Source, page: Page, view: View) -> Table | None:
    metrics = [name for name in page.table if name in source.metrics]
    if not metrics:
        return None
    level = breakdowns.below(source, view, metrics)
    totals = figures.values(source, view, metrics)
    definitions = tuple(source.metrics[name] for name in metrics)
    return Table(
        nouns=(level.noun,),
        metrics=definitions,
        rows=_rows(level, metrics),
        total=tuple(totals[name][0] if name in totals else None for name in metrics),
    )


def _rows(level: Level, metrics: list[str]) -> tuple[tuple[tuple[str, ...], tuple[Any, ...]], ...]:
    rows = (((member.name,), tuple(member.now.get(name) for name in metrics)) for member in level.members)
    return tuple((names, values) for names, values in rows if any(value is not None for value in values))


def _payer_mix(source: Source, view: View) -> tuple[tuple[Figure, ...], Table | None]:
    """The shares of payer classes of the base that the page shows, and the amounts behind them."""
    basis = payer_mix.basis_of(source, view)
    if basis is None:
        return (), None
    members = payer_mix.members_of(source, view, basis)
    metrics = [name for name in (basis.amount, basis.share) if name in source.metrics]
    rows = tuple(((member.name,), tuple(member.now.get(name) for name in metrics)) for member in members)
    definitions = tuple(source.metrics[name] for name in metrics)
    table = Table(nouns=("payer class",), metrics=definitions, rows=rows, total=None)
    return tuple(payer_mix.shares(source, view, members, basis)), table


def cautions(source: Source, view: View, tiles: tuple[Figure, ...], rests_on: str) -> tuple[str, ...]:
    """What must be known before a figure is believed, each sentence once. `rests_on` is the page whose feeds and closes the figures
    rest on, empty where those are said elsewhere."""
    of_period = figures.caution_of(view, source.as_of)
    by_text: dict[str, list[str]] = {}
    for figure in tiles:
        for text in dict.fromkeys((figure.problem, figure.caution, *figure.doubts)):
            if text and text != of_period:
                by_text.setdefault(text, []).append(figure.metric.label)
    of_data = []
    if rests_on:
        of_data = [*shell.gaps(source, rests_on, view.period.end), *shell.changed_closes(source, view, rests_on)]
    lines = [
        *of_data,
        of_period,
        *(f"{', '.join(labels)}: {fmt.lower_first(text)}" for text, labels in by_text.items()),
    ]
    lines += [*_unsettled(tiles), source.hidden_note, shell.credential_note(source)]
    return tuple(fmt.sentence(line) for line in lines if line)


def _unsettled(tiles: tuple[Figure, ...]) -> list[str]:
    """Months of the sheet By month that still move, by the figures that they are of."""
    by_months: dict[tuple[date, ...], list[str]] = {}
    for figure in tiles:
        months = tuple(month for month, value in figure.trend if value is not None and month in figure.moving)
        if months:
            by_months.setdefault(months, []).append(figure.metric.label)
    return [
        f"{', '.join(labels)} of {', '.join(fmt.month(month) for month in months)} can still change"
        for months, labels in by_months.items()
    ]


def in_words(metric: MetricDefinition) -> Mapping[str, str]:
    """A metric's definition as short texts by their titles, without what it does not have."""
    words = {
        "Meaning": metric.description,
        "Numerator": metric.numerator,
        "Denominator": metric.denominator,
        "Left out": metric.exclusions,
        "Counted on": metric.date_basis,
        "Version": metric.version,
    }
    return {title: text for title, text in words.items() if text}
