"""How fast charges, claims and answers follow each other, and how many claims are right the first time."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from dashboards import blocks, figures, widgets
from dashboards import format as fmt
from dashboards.drawings.columns import Bin, Marker, histogram
from dashboards.drawings.columns import table as folded_table
from dashboards.figures import Figure
from dashboards.shell import PageContext

LAGS = (
    "charge_lag_days_median",
    "charge_lag_days_p90",
    "claim_lag_days_median",
    "payer_lag_days_median",
    "payer_lag_days_p90",
)
CLEAN = (
    "first_pass_resolution_rate",
    "clean_claim_rate_paid_first_time",
    "clean_claim_rate_accepted",
    "rejection_rate",
    "late_charge_rate",
    "unbilled_visit_rate",
)
TILES = (*LAGS, *CLEAN)
NOT_KNOWN = "not known"


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """A distribution in bands of equal width, the last one open: what is counted, by which dimension, and its two markers."""

    title: str
    counted: str
    dimension: str
    median: str
    p90: str
    noun: str
    days_a_band: int
    bands: int


CHARGE_LAG = Distribution(
    title="Days from service to charge entry",
    counted="charge_lines",
    dimension="charge_lag_band",
    median="charge_lag_days_median",
    p90="charge_lag_days_p90",
    noun="charge line",
    days_a_band=1,
    bands=16,
)
PAYER_LAG = Distribution(
    title="Days from submission to the payer's decision",
    counted="decided_claims",
    dimension="payer_lag_band",
    median="payer_lag_days_median",
    p90="payer_lag_days_p90",
    noun="claim",
    days_a_band=5,
    bands=13,
)


def draw(context: PageContext) -> None:
    """Draws the section for the view of the context."""
    loaded = figures.load(context.source, context.view, (*TILES, CHARGE_LAG.counted, PAYER_LAG.counted))
    period = context.view.period.name
    blocks.section("Days from service to money", f"Services of {period}; 90th percentile: one in ten took longer")
    blocks.tiles(context, {name: loaded[name] for name in LAGS if name in loaded}, key="cm_lags")
    shown = [item for item in (CHARGE_LAG, PAYER_LAG) if _is_there(context, item)]
    blocks.columns([partial(_distribution, context, item, loaded) for item in shown])
    blocks.section("Right the first time", f"Shares of claims, charges and visits of {period}")
    blocks.tiles(context, {name: loaded[name] for name in CLEAN if name in loaded}, key="cm_clean")
    blocks.columns(
        [
            lambda: blocks.trend(context, "first_pass_resolution_rate", title="First-pass resolution over time"),
            lambda: blocks.trend(context, "payer_lag_days_median", title="Payer lag over time"),
        ]
    )


def _is_there(context: PageContext, item: Distribution) -> bool:
    metric = context.source.metrics.get(item.counted)
    return figures.knows(metric, item.dimension)


def band_names(item: Distribution) -> list[str]:
    """The names of the bands as the registry writes them: `0`, `1`, ... or `0 to 4`, `5 to 9`, ..., the last `15 and more`."""
    starts = [place * item.days_a_band for place in range(item.bands)]
    width = item.days_a_band
    names = [str(start) if width == 1 else f"{start} to {start + width - 1}" for start in starts[:-1]]
    return [*names, f"{starts[-1]} and more"]


def _distribution(context: PageContext, item: Distribution, loaded: Mapping[str, Figure]) -> None:
    source, view = context.source, context.view
    metric = source.metrics[item.counted]
    where = figures.filters(view, metric)
    by_day = " by day" if item.days_a_band == 1 else ""
    blocks.section(item.title, f"{metric.label}{by_day}, services of {view.period.name}{_caution(item, loaded)}")
    key = f"cm_{item.dimension}"
    if where is None:
        blocks.empty(context, "Not available for this choice", "Choose all reasons or another place.", f"{key}_filter")
        return
    frame = source.query([item.counted], by=[item.dimension], where=where, start=view.period.start, end=view.period.end)
    counts = dict(zip(frame[item.dimension].to_list(), frame[item.counted].to_list(), strict=True))
    names = band_names(item)
    if not any(counts.get(name) for name in names):
        text = source.hidden_note or "No row of this period has both days."
        blocks.empty(context, "Nothing to show", text, f"{key}_none")
        return
    bins = [
        Bin(
            name=name.replace(" and more", "+"),
            count=int(counts.get(name) or 0),
            action=widgets.passport(item.counted, {item.dimension: name}),
        )
        for name in names
    ]
    markers = _markers(item, loaded)
    drawn = histogram(bins, markers, item.noun)
    rows = [(name, counts.get(name) or 0) for name in (*names, NOT_KNOWN)]
    drawn += folded_table(("Days", metric.label), rows, "count", item.title)
    unknown = counts.get(NOT_KNOWN)
    context.html(drawn, key=key)
    if source.hides_few and frame[item.counted].null_count():
        blocks.small_print(f"Bands without a bar may be hidden. {source.hidden_note}")
    if unknown:
        blocks.small_print(f"{fmt.plural(int(unknown), item.noun)} not shown: one of the two days is not known.")


def _caution(item: Distribution, loaded: Mapping[str, Figure]) -> str:
    """Why the distribution may still change, to end a note with: what takes long is missing from a period that has not settled."""
    figure = loaded.get(item.counted)
    return f". {figure.caution}, so long waits are still missing" if figure is not None and figure.caution else ""


def _markers(item: Distribution, loaded: Mapping[str, Figure]) -> list[Marker]:
    """Lines at the median and at the 90th percentile."""
    markers = []
    for name, words in ((item.median, "median"), (item.p90, "9 of 10")):
        figure = loaded.get(name)
        if figure is not None and figure.value is not None:
            # A day is as wide as a band of one day: the line stands in its middle.
            place = (float(figure.value) + (0.5 if item.days_a_band == 1 else 0.0)) / (item.days_a_band * item.bands)
            markers.append(Marker(name=f"{words} {fmt.short(figure.value, 'days')}", place=place))
    return markers
