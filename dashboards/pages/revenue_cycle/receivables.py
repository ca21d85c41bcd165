"""How old the open balance is, how it moves from bucket to bucket, and the credits in it."""

import itertools
import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal

import polars as pl

from dashboards import blocks, charts, figures, widgets, work_links
from dashboards import format as fmt
from dashboards import period as periods
from dashboards.drawings.heat_table import HeatCell, HeatRow, heat_table
from dashboards.shell import PageContext

BALANCES = ("receivables", "open_balance")
TILES = (
    "receivables",
    "receivables_over_90",
    "receivables_from_patients",
    "receivables_credit_size",
    "unbilled_amount",
)
MOST_MONTHS = 7


def draw(context: PageContext) -> None:
    """Draws the section for the view of the context."""
    loaded = figures.load(context.source, context.view, TILES)
    blocks.tiles(context, loaded, key="cm_balances")
    blocks.columns([lambda: _ageing(context), lambda: _flows(context)])
    if "days_in_ar" in context.source.metrics:
        blocks.trend(context, "days_in_ar", title="Days in receivables over time")
    work_links.draw(context, ("credits",), "cm_balances_work")


def month_ends(context: PageContext) -> list[date]:
    """First days of the months whose last day the data have reached: a month that still runs has no month end."""
    return periods.ended_months(*_window(context), context.source.as_of)


def _window(context: PageContext) -> tuple[date, date]:
    return periods.trend_window(context.view.period, context.view.compared)


def _aged(context: PageContext) -> tuple[str, pl.DataFrame] | None:
    """The metric of the balance and its values by month end and bucket; None where it cannot be told apart under the filters, or where
    no month has ended."""
    source, view = context.source, context.view
    metric = next((name for name in BALANCES if figures.knows(source.metrics.get(name), "ageing_bucket")), None)
    if metric is None:
        return None
    where, months = figures.filters(view, source.metrics[metric]), month_ends(context)
    if where is None or not months:
        return None
    end = periods.month_end(months[-1])
    return metric, source.query([metric], by=["ageing_bucket"], grain="month", where=where, start=months[0], end=end)


def _ageing(context: PageContext) -> None:
    """The open balance at each month's end by age."""
    months = month_ends(context)
    marked = blocks.closed_note(context, months)
    is_left_out = blocks.running_months(context, periods.months_of(*_window(context)))
    runs = "; a month that still runs is left out" if is_left_out else ""
    blocks.section("How old the open balance is", f"Balance at month end by days since service{runs}{marked}")
    if not months:
        blocks.empty(
            context, "No month end yet", "None of these months has ended. Choose an earlier period.", "cm_ageing_soon"
        )
        return
    aged = _aged(context)
    if aged is None:
        blocks.empty(
            context, "Not available for this choice", "Choose all payers or all providers.", "cm_ageing_filter"
        )
        return
    metric, frame = aged
    buckets = sorted({value for value in frame["ageing_bucket"].to_list() if value}, key=_bucket_order)
    if not buckets:
        blocks.empty(context, "Nothing open", "No balance is open at these month ends.", "cm_ageing_none")
        return
    steps = [*context.look.heat[1:], context.look.bad]
    parts = []
    for index, bucket in enumerate(buckets):
        rows = frame.filter(frame["ageing_bucket"] == bucket)
        by_month = dict(zip(rows["metric_time"], rows[metric], strict=True))
        values = dict(figures.series(by_month, months[0], months[-1]))
        colour = steps[min(round(index * (len(steps) - 1) / max(len(buckets) - 1, 1)), len(steps) - 1)]
        parts.append(charts.Part(_short(bucket), colour, tuple(values.get(month) for month in months)))
    marks = [blocks.month_marks(metric, months, {"ageing_bucket": bucket}) for bucket in buckets]
    alt = "Open balance at month end by days since service"
    blocks.stacked_months(
        context, months, parts, marks, metrics=[metric], unit="usd", key="cm_ageing", height=300, alt=alt
    )


def _flows(context: PageContext) -> None:
    """How much of each bucket is in the next one a month later. A month moves a balance by one bucket, so that each cell is about the
    same money at two month ends (roll rate)."""
    aged = _aged(context)
    if aged is None:
        return
    metric, frame = aged
    blocks.section(
        "What moves on instead of being paid",
        "Balance of a bucket at month end, as a share of the bucket before it a month earlier (roll rate); of the oldest bucket: by how "
        "much it grew; dark: more moves on",
    )
    by_month = _by_month(frame, metric)
    buckets = sorted({bucket for values in by_month.values() for bucket in values}, key=_bucket_order)
    rows = roll_rates(by_month, buckets)[-MOST_MONTHS:]
    if not rows:
        text = context.source.hidden_note or "Two month ends with a balance are needed. Choose a later period."
        blocks.empty(context, "Not enough months", text, "cm_flows_none")
        return
    pairs = list(itertools.pairwise(buckets))
    most = max((share for _, shares in rows for share in shares if share is not None), default=Decimal(1)) or Decimal(1)
    drawn = [
        HeatRow(
            name=fmt.month(month),
            beside=fmt.short(sum(by_month[month].values(), Decimal(0)), "usd"),
            cells=[
                flow_cell(metric, month, pair, share, by_month, most, is_last=pair == pairs[-1])
                for pair, share in zip(pairs, shares, strict=True)
            ],
        )
        for month, shares in reversed(rows)
    ]
    titles = [f"{_short(before)} → {_short(after)}" for before, after in pairs]
    table = heat_table(
        "Month end", "Balance", titles, drawn, unit="percent", caption="Share of a bucket that moved on to the next one"
    )
    context.html(table, key="cm_flows")


def roll_rates(
    by_month: Mapping[date, Mapping[str, Decimal]], buckets: list[str]
) -> list[tuple[date, list[Decimal | None]]]:
    """For each month with a month before it: of each bucket but the first, its balance over that of the bucket before it a month
    earlier; None where that was nothing or less. The last bucket keeps what it had: what came to it is what it holds more than
    before."""
    rows: list[tuple[date, list[Decimal | None]]] = []
    for month in sorted(by_month):
        earlier = by_month.get(periods.add_months(month, -1))
        if earlier is None:
            continue
        shares: list[Decimal | None] = []
        for before, after in itertools.pairwise(buckets):
            base, moved = earlier.get(before, Decimal(0)), by_month[month].get(after, Decimal(0))
            if after == buckets[-1]:
                moved -= earlier.get(after, Decimal(0))
            shares.append(moved / base if base > 0 and moved >= 0 else None)
        rows.append((month, shares))
    return rows


def flow_cell(
    metric: str,
    month: date,
    pair: tuple[str, str],
    share: Decimal | None,
    by_month: Mapping[date, Mapping[str, Decimal]],
    most: Decimal,
    *,
    is_last: bool,
) -> HeatCell:
    """The cell of two buckets. `is_last`: the second one is the oldest, whose growth is the share (`roll_rates`)."""
    before, after = pair
    if share is None:
        return HeatCell(value=None)
    earlier = by_month[periods.add_months(month, -1)]
    amount, was = by_month[month].get(after, Decimal(0)), earlier.get(before, Decimal(0))
    words = f"{fmt.exact(amount, 'usd')} {bucket_name(after)} at the end of {fmt.month(month)}"
    if is_last:
        old = earlier.get(after, Decimal(0))
        words += f", {fmt.exact(amount - old, 'usd')} more than a month before ({fmt.exact(old, 'usd')})"
    note = f"{words}; {fmt.exact(was, 'usd')} {bucket_name(before)} a month before"
    action = widgets.passport(metric, {"month": f"{month:%Y-%m}", "ageing_bucket": after})
    return HeatCell(value=share, shade=float(share / most), note=note, action=action)


def _by_month(frame: pl.DataFrame, metric: str) -> dict[date, dict[str, Decimal]]:
    by_month: dict[date, dict[str, Decimal]] = {}
    for row in frame.iter_rows(named=True):
        bucket, value = row["ageing_bucket"], row[metric]
        if bucket and value is not None:
            by_month.setdefault(periods.day_of(row["metric_time"]), {})[bucket] = fmt.decimal(value)
    return by_month


def _short(bucket: str) -> str:
    return bucket_name(bucket).removesuffix(" days")


def _bucket_order(bucket: str) -> tuple[int, str]:
    digits = re.findall(r"[0-9]+", bucket)
    return (int(digits[0]) if digits else 10_000, bucket)


def bucket_name(bucket: str) -> str:
    """`0-30` and `121+` as people say them."""
    digits = [int(text) for text in re.findall(r"[0-9]+", bucket)]
    if len(digits) == 2:
        return f"{digits[0]} to {digits[1]} days"
    if len(digits) == 1:
        return f"over {digits[0] - 1 if bucket.endswith('+') else digits[0]} days"
    return bucket.replace("_", " ").capitalize()
