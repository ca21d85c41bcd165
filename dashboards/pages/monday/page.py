"""The page, readable in a minute: the week, what has settled, what was restated, late feeds, work with a deadline."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from markupsafe import Markup

from dashboards import figures, markup, shell, widgets
from dashboards import format as fmt
from dashboards import level as levels
from dashboards import period as periods
from dashboards import view as states
from dashboards.drawings.panel import panel
from dashboards.pages.monday import past, week
from dashboards.pages.monday.week import Watched
from dashboards.shell import HEALTH_PAGE, PageContext
from dashboards.view import View

KEY, TITLE = "this_week", "This week"
WORK_PAGE = "worklists"


def last_monday(today: date) -> date:
    """The Monday before today; a week ago where today is one."""
    return today - timedelta(days=today.weekday() or 7)


def draw(context: PageContext) -> None:
    """Draws the page This week for the view of the context."""
    source = context.source
    monday, sunday = week.last_full_week(source.as_of)
    key = periods.range_key(monday, sunday)
    view = replace(context.view, period=periods.Period(monday, sunday, key), month=None, chosen=None)
    level = levels.level_of(source, view)
    items = week.watch(source, view, monday, sunday)
    items = [
        replace(item, cause=week.cause(source, view, level, item, monday, sunday)) if item.has_left else item
        for item in items
    ]
    today = fmt.local_date(datetime.now(UTC), source.time_zone)
    since = last_monday(today)
    whole = source.scope_label or source.tenant_name
    path = [place for place in source.path(view.place) if place != source.root]
    crumbs = markup.breadcrumb(
        [(whole, widgets.move(place=None)), *[(place.name, widgets.move(place=place.id)) for place in path]],
        tenant=source.tenant_name if source.scope_label else "",
    )
    line = [
        f"{fmt.day(monday)} to {fmt.day(sunday)}",
        f"beside the {week.WEEKS} weeks before",
        f"data to {fmt.day(source.as_of)}",
        f"published {fmt.moment(source.reader.published_at, source.time_zone)}",
        source.hidden_note.removesuffix("."),
    ]
    context.html(markup.heading(finding(items), line, crumbs), key="cm_head")
    parts = [
        _week(items, key),
        Markup('<div class="cm-two">{}{}</div>').format(_settled(context, view), _restated(context, view, since)),
        Markup('<div class="cm-two">{}{}</div>').format(_feeds(context, sunday), _work(context, today)),
    ]
    context.html(Markup('<div class="cm-week">{}</div>').format(markup.join(parts)), key="cm_week")


def finding(items: Sequence[Watched]) -> str:
    """What left its usual range last week, bad news first; else that nothing did."""
    left = sorted(
        (item for item in items if item.has_left), key=lambda item: ("bad", "good", "neutral").index(item.tone)
    )
    if not left:
        judged = [item for item in items if item.usual is not None]
        return "Last week was as usual" if judged else "Too few weeks to tell what is usual"
    first = left[0]
    verb = "above" if first.usual is not None and float(first.value) > first.usual[1] else "below"
    text = f"{first.metric.label} last week {verb} the usual range: {fmt.short(first.value, first.metric.unit)}"
    text = f"{text}, {first.cause}" if first.cause else text
    return f"{text}; {fmt.plural(len(left) - 1, 'other figure')} left it too" if len(left) > 1 else text


def _week(items: Sequence[Watched], key: str) -> Markup:
    columns = [
        markup.Column("Figure"),
        markup.Column("Last week", "num"),
        markup.Column("Usual week", "num"),
        markup.Column("Weeks before"),
        markup.Column("What to make of it"),
    ]
    rows = []
    for item in items:
        unit = item.metric.unit
        query = states.encode({"period": key, "figure": item.metric.name, "at": ""})
        usual = f"{fmt.short(item.usual[0], unit)} to {fmt.short(item.usual[1], unit)}" if item.usual else fmt.DASH
        action = f"{widgets.PAGE}{week.WATCHED[item.metric.name]}?{query}"
        rows.append(
            Markup(
                '<tr class="cm-{tone}"><th scope="row">{name}</th><td class="num"><b>{value}</b></td><td class="num">{usual}</td>'
                '<td><div class="cm-trend">{trend}</div></td><td>{words}</td></tr>'
            ).format(
                tone=item.tone,
                name=markup.button(item.metric.label, action, "cm-open"),
                value=fmt.short(item.value, unit),
                usual=usual,
                trend=markup.sparkline([*item.before, item.value]),
                words=_words(item),
            )
        )
    head = markup.join(
        Markup('<th scope="col"{}>{}</th>').format(
            Markup(' class="num"') if column.unit == "num" else markup.EMPTY, column.title
        )
        for column in columns
    )
    if not rows:
        return markup.state("Nothing to show", "None of the figures that are watched each week is available to you.")
    return Markup(
        '<div class="cm-scroll"><table class="cm-table cm-week-table"><caption class="cm-hidden">The week</caption><thead><tr>{}</tr>'
        "</thead><tbody>{}</tbody></table></div>"
    ).format(head, markup.join(rows))


def _words(item: Watched) -> Markup:
    if item.value is None:
        return Markup("nothing to count")
    if item.usual is None:
        return Markup("too few weeks to tell")
    if not item.has_left:
        return Markup("too few to judge") if item.is_few else Markup("as usual")
    mark = markup.MARKS.get(item.tone, markup.EMPTY)
    verdict = {"bad": "worse than usual", "good": "better than usual"}.get(item.tone, "outside the usual range")
    return Markup("{} {}{}").format(mark, verdict, f", {item.cause}" if item.cause else "")


def _list(lines: Sequence[tuple[Markup | str, str]], nothing: str) -> Markup:
    if not lines:
        return Markup('<p class="cm-nothing">{}</p>').format(nothing)
    drawn = markup.join(Markup("<li><b>{}</b><span>{}</span></li>").format(first, second) for first, second in lines)
    return Markup('<ul class="cm-lines">{}</ul>').format(drawn)


def _settled(context: PageContext, view: View) -> Markup:
    source = context.source
    items = past.settled(source, view, source.as_of - timedelta(days=7))
    lines: list[tuple[Markup | str, str]] = []
    for item in items:
        first = item.month
        key = periods.range_key(first, periods.month_end(first))
        query = states.encode({"period": key, "figure": item.metric.name, "at": ""})
        name = markup.button(
            f"{item.metric.label}, {fmt.month(first)}", f"{widgets.PAGE}revenue_cycle?{query}", "cm-open"
        )
        counted = figures.counted(item.metric, item.value, item.base)
        lines.append((name, f"final at {fmt.short(item.value, item.metric.unit)}{f': {counted}' if counted else ''}"))
    return panel(
        "Has settled", "Rates that became final in the last 7 days of the data", _list(lines, "None."), "settled"
    )


def _restated(context: PageContext, view: View, since: date) -> Markup:
    source = context.source
    was = past.earlier(source, since)
    note = f"Figures of the last {past.MONTHS_HELD} months that were others before {fmt.day(since)}"
    if was is None:
        return panel("Was restated", note, _list([], "No version from before that day is kept."), "restated")
    items = past.restated(source, was, view)
    return panel("Was restated", note, _list(list(past.words(items)), "None."), "restated")


def _feeds(context: PageContext, sunday: date) -> Markup:
    source = context.source
    sentences = shell.gaps(source, "overview", sunday)
    link = ("Data health", f"{widgets.PAGE}{HEALTH_PAGE}?" if HEALTH_PAGE in context.pages else "")
    lines: list[tuple[Markup | str, str]] = [(sentence, "") for sentence in sentences]
    return panel(
        "Late feeds",
        "Feeds that stopped, bring too little, or of which files were refused",
        _list(lines, "None: every feed is in order."),
        "feeds",
        link,
    )


def _work(context: PageContext, today: date) -> Markup:
    has_lists = WORK_PAGE in context.pages
    lines: list[tuple[Markup | str, str]] = []
    for work in context.source.reader.worklists.due(today) if has_lists else ():
        query = states.encode({"basis": work.work_list.name})
        name = markup.button(work.work_list.title, f"{widgets.PAGE}{WORK_PAGE}?{query}", "cm-open")
        money = f", {fmt.short(work.amount, 'usd')}" if work.amount is not None else ""
        lines.append((name, f"{fmt.plural(work.rows, 'row')}{money}, the first by {fmt.day(work.first)}"))
    link = ("Worklists", f"{widgets.PAGE}{WORK_PAGE}?" if has_lists else "")
    nothing = "No row of a worklist has a deadline in the next 14 days." if has_lists else "Your role has no worklists."
    return panel("Has a deadline", "Rows of worklists that must be done soon", _list(lines, nothing), "due", link)
