"""HTML of a passport. Pure: a passport in, `Markup` out."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from dashboards import format as fmt
from dashboards import markup, passport, widgets
from dashboards import view as states
from dashboards.filters import chosen
from dashboards.passport import Passport, Reading
from serving.lineage.metric import FeedState
from serving.model import MetricDefinition, RowPart, RowsAround

# Kind of a part to what its rows are to the figure.
_KINDS = {
    "counted": "counted",
    "repeated": "counted once",
    "above_alone": "numerator only",
    "below_alone": "denominator only",
    "left_out": "left out",
}
STATES = {"stopped": "stopped", "short": "brings too little", "unreadable": "not read"}


def head(figure_passport: Passport, *, hidden: str) -> Markup:
    """Name, chips, value with its parts, interval and change. `hidden` says why a value may be withheld."""
    figure, metric = figure_passport.figure, figure_passport.metric
    shown = fmt.parts(None if figure.problem else figure.value, metric.unit)
    chips = [
        figure_passport.place,
        figure_passport.view.period.name,
        *[f"{chip.name}: {chip.value}" for chip in figure_passport.chips],
    ]
    notes = [figure.problem, figure.caution, *[f"May be wrong: {fmt.lower_first(title)}" for title in figure.doubts]]
    if figure.value is None and not figure.problem:
        notes.append(hidden or "No value: there is nothing to count or to divide by in this choice.")
    change = figure.change
    return Markup(
        '<header class="cm-pass-head cm-{tone}" data-figure="{name}"><h2>{label}</h2>'
        '<ul class="cm-pass-chips">{chips}</ul><div class="cm-pass-value">'
        '<p class="cm-value" title="{exact}"><b>{number}</b><span>{unit}</span></p>'
        '<div><p><b>{counted}</b></p><p class="cm-soft">{interval}</p><p class="cm-soft">{target}</p></div>'
        '<p class="cm-change">{mark}<span>{change}</span></p></div>{notes}</header>'
    ).format(
        tone="none" if figure.problem or figure.caution or figure.doubts else change.tone,
        name=metric.name,
        label=metric.label,
        chips=markup.join(Markup("<li>{}</li>").format(text) for text in chips),
        exact=fmt.exact(figure.value, metric.unit),
        number=shown.number,
        unit=shown.unit,
        counted=figure.counted,
        interval=passport.interval_words(figure_passport),
        target=passport.target_words(figure_passport),
        mark=markup.MARKS.get(change.tone, markup.ARROWS[change.arrow] if change.tone == "neutral" else markup.EMPTY),
        change=change.text,
        notes=markup.join(
            Markup('<p class="cm-caution">{}<span>{}</span></p>').format(markup.MARKS["caution"], note)
            for note in notes
            if note
        ),
    )


def meaning(metric: MetricDefinition) -> Markup:
    """Numerator, denominator and exclusions."""
    return part(
        "What it is", Markup("<p>{}</p>{}").format(metric.description, markup.terms(markup.definition_terms(metric)))
    )


def rows_around(lists: Sequence[RowsAround], *, hidden: str) -> Markup:
    """How many rows count and how many are left out, by reason; a list for each side of a ratio of two lists of rows. `hidden` says why
    a number may be withheld."""
    if not lists:
        return markup.EMPTY
    drawn = [_rows_around(item, is_alone=len(lists) == 1) for item in lists]
    withheld = any(part.rows is None for item in lists for part in item.parts)
    note = Markup('<p class="cm-note">{}</p>').format(hidden) if withheld and hidden else markup.EMPTY
    return part("What counts and what is left out", markup.join(drawn) + note)


def _rows_around(rows: RowsAround, *, is_alone: bool) -> Markup:
    title = markup.EMPTY if is_alone else Markup("<h4>{}</h4>").format(rows.label)
    if all(item.kind == "counted" for item in rows.parts):
        count = rows.rows
        words = (
            "No row in this choice." if not rows.parts else f"All {fmt.plural(count or 0, 'row')} in this choice count."
        )
        return title + Markup("<p>{}</p>").format(words if count is not None or not rows.parts else "All rows count.")
    columns = [markup.Column("Rows"), markup.Column(""), markup.Column("Number", "count")]
    is_rate = any(item.kind.endswith("_alone") for item in rows.parts)
    kinds = {**_KINDS, "counted": "numerator"} if is_rate else _KINDS
    body = [markup.Row((_reason(item), kinds[item.kind], item.rows)) for item in rows.parts]
    total = markup.Row(("All rows in this choice", " ", rows.rows))
    return title + markup.table(columns, body, caption=f"Rows around {rows.label}", total=total)


def _reason(item: RowPart) -> str:
    return f"{item.words} ({item.unripe:,} so recent that they may still count)" if item.unripe else item.words


def readings(figure_passport: Passport, others: Sequence[Reading], explain: Mapping[str, str]) -> Markup:
    """Other definitions of the same thing with their figures; `explain` has the action that holds each against this figure."""
    if not others:
        return markup.EMPTY
    metric, figure = figure_passport.metric, figure_passport.figure
    columns = [markup.Column("Definition"), markup.Column("Figure"), markup.Column("From"), markup.Column("")]
    rows = [markup.Row((f"This figure: {metric.label}", fmt.exact(figure.value, metric.unit), figure.counted, " "))]
    rows += [
        markup.Row(
            (
                reading.metric.label,
                reading.problem or fmt.exact(reading.value, reading.metric.unit),
                reading.counted,
                markup.Link("explain", explain[reading.metric.name]) if reading.metric.name in explain else " ",
            ),
            action=_same_mark(figure_passport, reading),
        )
        for reading in others
    ]
    return part("Why another number may be right too", markup.table(columns, rows, caption="Other definitions"))


def _same_mark(figure_passport: Passport, reading: Reading) -> str:
    return "" if reading.problem else widgets.passport(reading.metric.name, states.pairs_by_name(figure_passport.mark))


def rests_on(
    feeds: Sequence[FeedState] | None, *, version: str, published: str, lineage: str, time_zone: str
) -> Markup:
    """The feeds of a figure and how they stand, the version, and the way to its lineage."""
    rows: list[tuple[str, str]] = [(feed.feed, _feed_words(feed, time_zone)) for feed in feeds or ()]
    if feeds is None:
        rows.append(("Feeds", "not known: this version was published before lineage was kept"))
    rows.append(("Version", f"{version}, published {published}"))
    if lineage:
        rows.append(("Lineage", markup.button("Columns and fields behind it", lineage, "cm-open")))
    return part("Rests on", markup.terms(rows))


def _feed_words(feed: FeedState, time_zone: str) -> str:
    words = (
        f"data to {fmt.day(feed.newest_day)}" if feed.newest_day else "",
        f"last read {fmt.moment(feed.last_read_at, time_zone)}" if feed.last_read_at else "never read",
        _state(feed),
    )
    return ", ".join(word for word in words if word)


def _state(feed: FeedState) -> str:
    if feed.alert:
        return STATES.get(feed.alert, feed.alert)
    return f"{fmt.plural(feed.files_refused, 'file')} refused" if feed.files_refused else "in order"


def actions(items: Sequence[tuple[str, str]]) -> Markup:
    """The next steps: (text, action) each, and a button that copies the address."""
    buttons = markup.join(markup.button(text, action, "cm-rows") for text, action in items)
    copy = Markup('<button type="button" class="cm-rows" data-copy="Copied">Copy link</button>')
    return Markup('<div class="cm-pass-actions">{}{}</div>').format(buttons, copy)


def level(label: str, metric: MetricDefinition, members: Sequence[Any], marks: Sequence[str], hidden: str) -> Markup:
    """The next level down: a row a member, each leading to its passport. `members` are (name, value, counted)."""
    columns = [markup.Column(label), markup.Column(metric.label, metric.unit), markup.Column("From")]
    rows = [markup.Row(tuple(member), action=mark) for member, mark in zip(members, marks, strict=True)]
    empty = hidden or "Nothing in this choice."
    return markup.table(columns, rows, caption=f"{metric.label} by {label.lower()}", empty=empty)


def footnote(figure_passport: Passport, *, sees: str) -> Markup:
    """Whose rights and which definition a figure was made with, and the same question for the command line."""
    return Markup(
        '<footer class="cm-soft"><p>{} Definition version {}.</p>'
        "<details><summary>The same figure on the command line</summary><code>{}</code></details></footer>"
    ).format(
        sees,
        figure_passport.metric.version,
        f"clinicmart metrics query {figure_passport.metric.name} {_options(figure_passport)}",
    )


def _options(figure_passport: Passport) -> str:
    period = figure_passport.view.period
    where = [
        f"--where '{name}={item}'"
        for name, value in chosen(figure_passport.view).items()
        for item in ([value] if isinstance(value, str) else value)
    ]
    return " ".join([*where, f"--from {period.start}", f"--to {period.end}"])


def part(title: str, content: Markup) -> Markup:
    """A section of the passport."""
    return Markup('<section class="cm-pass-part"><h3>{}</h3>{}</section>').format(title, content)
