"""The collection triangle: how much of each month of service had come in, so many months later."""

from datetime import date
from decimal import Decimal

from dashboards import blocks, figures, widgets
from dashboards import format as fmt
from dashboards import period as periods
from dashboards.drawings.heat_table import HeatCell, HeatRow, heat_table
from dashboards.shell import PageContext

RECEIVED, NET, AGE = "received_by_service_amount", "net_billed_amount", "months_after_service"
# What comes in later than the last of these ages is not drawn.
AGES = ("0", "1", "2", "3", "4", "5", "6")
MONTHS = 13


def draw(context: PageContext) -> None:
    """Draws the section for the view of the context."""
    source, view = context.source, context.view
    if not figures.knows(source.metrics.get(RECEIVED), AGE) or NET not in source.metrics:
        return
    where = figures.filters(view, source.metrics[RECEIVED])
    if where is None or figures.filters(view, source.metrics[NET]) is None:
        return
    last = min(periods.month_start(view.period.end), periods.month_start(source.as_of))
    first = periods.add_months(last, 1 - MONTHS)
    blocks.section(
        "How fast a month of service is collected",
        "Received so far as a share of billed less contractual, by month of service and months later, up to six; read a column from top "
        "to bottom to compare months at the same age; grey: may still change, as a month is not over or payers still answer",
    )
    frame = source.query([RECEIVED], by=[AGE], grain="month", where=where, start=first, end=periods.month_end(last))
    received: dict[date, dict[str, Decimal]] = {}
    for row in frame.iter_rows(named=True):
        if row[RECEIVED] is not None and row[AGE] is not None:
            received.setdefault(periods.day_of(row["metric_time"]), {})[row[AGE]] = fmt.decimal(row[RECEIVED])
    whole = {
        month: fmt.decimal(value) for month, value in figures.monthly(source, view, [NET], first, last)[NET] if value
    }
    unsettled = figures.unsettled_months(source, view, source.metrics[RECEIVED], first, last)
    rows = [
        HeatRow(
            name=fmt.month(month),
            beside=fmt.short(whole[month], "usd"),
            cells=cells(month, received.get(month, {}), whole[month], source.as_of, is_settled=month not in unsettled),
        )
        for month in reversed(periods.months_of(first, last))
        if month in whole
    ]
    if not rows:
        text = source.hidden_note or "Nothing was billed in these months. Choose a later period."
        blocks.empty(context, "Nothing billed", text, "cm_triangle_none")
        return
    titles = ["same month", "1 month", *[f"{age} months" for age in AGES[2:]]]
    table = heat_table(
        "Month of service", "Billed, net", titles, rows, unit="percent", caption="Received by month of service and age"
    )
    context.html(table, key="cm_triangle")


def cells(
    month: date, received: dict[str, Decimal], whole: Decimal, as_of: date, *, is_settled: bool
) -> list[HeatCell]:
    """Of one month of service: the share that had come in at each age. An age that has not begun has no cell. An age whose calendar
    month is not over still grows. In a month that has not settled every share may still change: what payers take off as contractual
    makes the whole smaller."""
    drawn, so_far = [], Decimal(0)
    for place, age in enumerate(AGES):
        paid_in = periods.add_months(month, place)
        if paid_in > as_of:
            drawn.append(HeatCell(value=None))
            continue
        came = received.get(age, Decimal(0))
        so_far += came
        ages = list(AGES[: place + 1])
        is_moving = not is_settled or periods.month_end(paid_in) > as_of
        note = f"{fmt.exact(so_far, 'usd')} of {fmt.exact(whole, 'usd')}; {fmt.exact(came, 'usd')} of it in {fmt.month(paid_in)}"
        drawn.append(
            HeatCell(
                value=so_far / whole,
                shade=float(so_far / whole),
                note=f"{note}; may still change" if is_moving else note,
                action=widgets.passport(RECEIVED, {"month": f"{month:%Y-%m}", AGE: ages}),
                is_moving=is_moving,
            )
        )
    return drawn
