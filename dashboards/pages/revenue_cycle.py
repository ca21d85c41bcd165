"""Revenue cycle: what becomes of what is billed, what is denied and why, and how old the open balance is."""

import re
from decimal import Decimal

from dashboards import blocks, breakdowns, chart_tables, charts, figures, findings, shell, theme
from dashboards import format as fmt
from dashboards import period as periods
from dashboards.shell import PageContext
from serving.modules import PAGES

PAGE = PAGES["revenue_cycle"]
PARTS = {
    "payer_paid_amount": "Paid by payers",
    "patient_paid_amount": "Paid by patients",
    "adjusted_amount": "Adjusted",
    "open_balance": "Still open",
}


def draw(context: PageContext) -> None:
    """Draws the page Revenue cycle for the view of the context."""
    source, view = context.source, context.view
    loaded = figures.load(source, view, [*PAGE.tiles, *PARTS])
    if shell.before_data(context, loaded):
        return
    level = breakdowns.below(source, view, ["denial_rate", "denied_claims", *PAGE.table])
    lead, subject, numerator = _lead(loaded)
    shell.head(context, findings.finding(loaded.get(lead), subject, level, numerator))
    blocks.tiles(context, {name: loaded[name] for name in PAGE.tiles if name in loaded})
    _money(context)
    overall = loaded.get("denial_rate")
    sentences = [
        lambda: _denials(context),
        lambda: blocks.ranking(
            context,
            [
                member
                for member in breakdowns.by_dimension(source, view, ["denial_rate", "remitted_claims"], "payer")
                if member.id
            ],
            "denial_rate",
            title="Which payers deny most",
            key="cm_payers",
            reference=overall,
        ),
        lambda: _ageing(context),
        lambda: blocks.ranking(
            context,
            level.members,
            "denial_rate",
            title=f"Denials by {level.noun}",
            key="cm_units",
            reference=overall,
        ),
    ]
    blocks.columns(sentences if "denial_rate" in source.metrics else sentences[2:3])
    blocks.level_table(context, level, PAGE.table, lead="denial_rate", loaded=loaded)


def _lead(loaded: dict[str, figures.Figure]) -> tuple[str, str, str | None]:
    """The heading's figure: denials where there are any answers of payers, else what was billed."""
    denials = loaded.get("denial_rate")
    if denials is not None and denials.value is not None:
        return "denial_rate", "Denials", "denied_claims"
    return "billed_amount", "Billed charges", None


def _money(context: PageContext) -> None:
    """What became of the charges of each month of service: paid, adjusted, still open. The parts add up to billed."""
    first, last = periods.trend_window(context.view.period, context.view.compared)
    series = figures.monthly(context.source, context.view, list(PARTS), first, last)
    blocks.section(
        "What became of what was billed",
        "By month of service; the parts of a bar add up to the charges billed for that month"
        + blocks.closed_note(context, periods.months_of(first, last)),
    )
    months = [month for month, _ in next(iter(series.values()), ())]
    if not months or all(value is None for values in series.values() for _, value in values):
        blocks.empty(
            context, "Nothing billed in these months", "Choose a later period or another place.", "cm_money_none"
        )
        return
    colours = theme.money_colours(context.look)
    parts = [
        charts.Part(label, colours[name], tuple(value for _, value in series[name]))
        for name, label in PARTS.items()
        if name in series
    ]
    marks = [blocks.month_marks(name, months) for name in PARTS if name in series]
    alt = "Billed charges by month of service and what became of them"
    blocks.stacked_months(context, months, parts, marks, unit="usd", key="cm_money", height=344, alt=alt)


def _denials(context: PageContext) -> None:
    """Pareto of denied claims by category, the share so far in words at the bar."""
    metric = next((name for name in ("denied_amount", "denied_claims") if name in context.source.metrics), None)
    if metric is None or not figures.knows(context.source.metrics[metric], "denial_category"):
        metric = (
            "denied_claims" if figures.knows(context.source.metrics.get("denied_claims"), "denial_category") else None
        )
    if metric is None:
        return
    definition = context.source.metrics[metric]
    categories = breakdowns.by_dimension(context.source, context.view, [metric], "denial_category", before=False)
    members = [member for member in categories if member.now.get(metric)]
    hidden = context.source.hidden_note if any(member.now.get(metric) is None for member in categories) else ""
    blocks.section(
        "Why claims are denied",
        f"{definition.label} by reason, {context.view.period.name}; in brackets, the share so far",
    )
    if not members:
        none = ("No denials", "No payer answer in this period denied a claim.")
        blocks.empty(context, *((blocks.FEW, hidden) if hidden else none), "cm_denials_none")
        return
    members = breakdowns.folded(members, metric, 8)
    total: Decimal | None = sum((fmt.decimal(member.now[metric]) for member in members), Decimal(0))
    if hidden:
        # Categories that are not shown are part of the whole.
        whole = figures.load(context.source, context.view, [metric], trend=False)[metric].value
        total = None if whole is None else fmt.decimal(whole)
    so_far = fmt.decimal(0)
    ranks = []
    for member in members:
        so_far += fmt.decimal(member.now[metric])
        share = "" if total is None else f"({fmt.rounded(so_far / total * 100, 0)} %)"
        ranks.append(charts.Rank(member.name, member.now[metric], share))
    option = charts.ranked_bars(context.look, ranks, unit=definition.unit, clickable=True)
    marks = blocks.member_marks(metric, members)
    alt = "Denials by reason, most first"
    table = chart_tables.of_ranks(ranks, name=definition.label, unit=definition.unit, caption=alt, marks=marks)
    height = max(28 * len(ranks) + 16, 96)
    context.chart(option, key="cm_denials", height=height, alt=alt, table=table, marks=[marks])


def _ageing(context: PageContext) -> None:
    """The open balance at each month's end by age."""
    source, view = context.source, context.view
    metric = next(
        (name for name in ("receivables", "open_balance") if figures.knows(source.metrics.get(name), "ageing_bucket")),
        None,
    )
    if metric is None:
        return
    first, last = periods.trend_window(view.period, view.compared)
    marked = blocks.closed_note(context, periods.months_of(first, last))
    blocks.section("How old the open balance is", f"Balance at month end by days since service{marked}")
    where = figures.filters(view, source.metrics[metric])
    if where is None:
        blocks.empty(
            context, "Not available for this choice", "Choose all payers or all providers.", "cm_ageing_filter"
        )
        return
    frame = source.query(
        [metric], by=["ageing_bucket"], grain="month", where=where, start=first, end=periods.month_end(last)
    )
    buckets = sorted({value for value in frame["ageing_bucket"].to_list() if value}, key=_bucket_order)
    months = periods.months_of(first, last)
    if not buckets:
        blocks.empty(context, "Nothing open", "No balance is open at these month ends.", "cm_ageing_none")
        return
    steps = [*context.look.heat[1:], context.look.bad]
    parts = []
    for index, bucket in enumerate(buckets):
        rows = frame.filter(frame["ageing_bucket"] == bucket)
        values = dict(figures.series(dict(zip(rows["metric_time"], rows[metric], strict=True)), first, last))
        colour = steps[min(round(index * (len(steps) - 1) / max(len(buckets) - 1, 1)), len(steps) - 1)]
        parts.append(
            charts.Part(
                _bucket_name(bucket).removesuffix(" days"), colour, tuple(values.get(month) for month in months)
            )
        )
    marks = [blocks.month_marks(metric, months, {"ageing_bucket": bucket}) for bucket in buckets]
    alt = "Open balance at month end by days since service"
    blocks.stacked_months(context, months, parts, marks, unit="usd", key="cm_ageing", height=300, alt=alt)


def _bucket_order(bucket: str) -> tuple[int, str]:
    digits = re.findall(r"[0-9]+", bucket)
    return (int(digits[0]) if digits else 10_000, bucket)


def _bucket_name(bucket: str) -> str:
    """`0-30` and `121+` as people say them."""
    digits = [int(text) for text in re.findall(r"[0-9]+", bucket)]
    if len(digits) == 2:
        return f"{digits[0]} to {digits[1]} days"
    if len(digits) == 1:
        return f"over {digits[0] - 1 if bucket.endswith('+') else digits[0]} days"
    return bucket.replace("_", " ").capitalize()
