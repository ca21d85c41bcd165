"""The annotations of a chart over time: those that people wrote and those that follow from the data, as texts and as a list.

marks = annotations.of_view(source, view, page, metrics, months)
annotations.texts(marks, months)          one text for each month, empty for most
annotations.listed(marks, pages)          the list below the chart, with links to the pages that explain
"""

from collections.abc import Collection, Container, Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from markupsafe import Markup

from dashboards import format as fmt
from dashboards import markup, widgets
from dashboards import period as periods
from dashboards.charts import ANNOTATION_MARK
from dashboards.data import Source
from dashboards.view import TODAY, View
from serving.annotations import FEED_GAP, RESTATEMENT, UNIT_MOVED, Automatic, concerns, restatements
from serving.people.annotations import Annotation
from serving.people.targets import WHOLE

PAGE = "annotations"
WRITTEN = "written"
# What explains an automatic annotation: the text of the link, and the page.
_EXPLAINED = {FEED_GAP: ("Data health", "data_health"), RESTATEMENT: ("Closed months", "closed_months")}


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One annotation as a chart shows it. `kind` is WRITTEN or one of `serving.annotations`; `whose` names the unit and the author."""

    kind: str
    first_day: date
    last_day: date
    sentence: str
    whose: str = ""

    @property
    def days(self) -> str:
        """Its days: `3 Nov 2026`, or `3 Nov 2026 to 5 Nov 2026`; of a restatement the month."""
        return fmt.month(self.first_day) if self.kind == RESTATEMENT else days_of(self.first_day, self.last_day)

    @property
    def text(self) -> str:
        """Days and sentence in one line."""
        return f"{self.days}: {self.sentence}" + (f" ({self.whose})" if self.whose else "")


def of_view(
    source: Source, view: View, page: str, metrics: Collection[str], months: Sequence[date]
) -> tuple[Mark, ...]:
    """The annotations of the months that a chart of a page shows, for its figures and its place; by first day."""
    if not months or not source.reader.annotations.may_read:
        return ()
    place = source.reader.annotations.path(view.place) if view.place else ()
    first_day, last_day = min(months), periods.month_end(max(months))
    marks = [_written(source, view, item) for item in source.annotations if _is_for(source, item, page, metrics, place)]
    marks += [
        Mark(kind=item.kind, first_day=item.first_day, last_day=item.last_day, sentence=item.sentence)
        for item in (*source.automatic_annotations, *_restated(source, view, metrics, months))
        if _concerns(item, source, page, metrics, place)
    ]
    shown = (mark for mark in marks if mark.first_day <= last_day and mark.last_day >= first_day)
    return tuple(sorted(shown, key=lambda mark: (mark.first_day, mark.sentence)))


def texts(marks: Iterable[Mark], months: Sequence[date]) -> list[str]:
    """For each month its annotations, a line each."""
    lines = [(mark, f"{ANNOTATION_MARK} {mark.text}") for mark in marks]
    return [
        "\n".join(line for mark, line in lines if mark.first_day <= periods.month_end(month) and mark.last_day >= month)
        for month in months
    ]


def listed(marks: Sequence[Mark], pages: Container[str]) -> Markup:
    """The annotations as a folded list, each with a link to what explains it; empty without annotations."""
    if not marks:
        return markup.EMPTY
    lines = markup.join(
        Markup("<li><b>{}</b> {} {}</li>").format(
            mark.days,
            mark.sentence + (f" ({mark.whose})" if mark.whose else ""),
            markup.button(*_explained(mark, pages), "cm-open") if _explained(mark, pages)[1] else "",
        )
        for mark in marks
    )
    title = f"{ANNOTATION_MARK} {fmt.plural(len(marks), 'annotation')}"
    return Markup('<div class="cm-annotations">{}</div>').format(
        markup.folded(title, Markup("<ul>{}</ul>").format(lines))
    )


def days_of(first_day: date, last_day: date) -> str:
    """`3 Nov 2026`, or `3 Nov 2026 to 5 Nov 2026`."""
    return fmt.day(first_day) if first_day == last_day else f"{fmt.day(first_day)} to {fmt.day(last_day)}"


def unit_name(source: Source, unit: str) -> str:
    """The unit of an annotation in words: one above what the person sees has no name here."""
    if unit == WHOLE:
        return source.tenant_name
    return source.places[unit].name if unit in source.places else "A unit above yours"


def _explained(mark: Mark, pages: Container[str]) -> tuple[str, str]:
    """(text, action) of the link; an empty action where the person does not have the page."""
    if mark.kind == UNIT_MOVED:
        return "Show all months with today's units", widgets.move(told=TODAY)
    title, page = _EXPLAINED.get(mark.kind, ("Annotations", PAGE))
    return title, f"{widgets.PAGE}{page}?" if page in pages else ""


def _written(source: Source, view: View, item: Annotation) -> Mark:
    is_own = item.service_unit_id in (view.place, WHOLE)
    whose = item.set_by if is_own else f"{unit_name(source, item.service_unit_id)}, {item.set_by}"
    return Mark(kind=WRITTEN, first_day=item.first_day, last_day=item.last_day, sentence=item.sentence, whose=whose)


def _is_for(source: Source, item: Annotation, page: str, metrics: Collection[str], place: Sequence[str]) -> bool:
    unit = item.service_unit_id
    above = source.reader.annotations.path(unit) if unit != WHOLE and place else ()
    return item.page in ("", page) and (not item.metric or item.metric in metrics) and concerns(place, unit, above)


def _concerns(item: Automatic, source: Source, page: str, metrics: Collection[str], place: Sequence[str]) -> bool:
    if item.kind == UNIT_MOVED and source.restated:
        # The figures are those of today's tree.
        return False
    is_for_page = not item.pages or page in item.pages
    is_for_metrics = not item.metrics or not set(item.metrics).isdisjoint(metrics)
    return is_for_page and is_for_metrics and concerns(place, item.service_unit_id, item.above)


def _restated(source: Source, view: View, metrics: Collection[str], months: Sequence[date]) -> tuple[Automatic, ...]:
    """Figures that changed after their month was closed; none where the closes keep figures of more than the view shows."""
    if source.closes_are_wider(view):
        return ()
    changes = source.changes_in(min(months), max(months), view.place)
    return restatements(change for change in changes if change.metric in metrics)
