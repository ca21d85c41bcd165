"""A report that a person builds, between its definition and the address of the page. Pure.

The address holds the whole report, so that back, reload and a link lead to the same one, saved or not.
"""

from dataclasses import replace
from datetime import date

from pydantic import ValidationError

from dashboards import filters
from dashboards import format as fmt
from dashboards import period as periods
from dashboards.view import URL_NAMES, View
from foundation.errors import ConfigurationError
from serving.report_definition import BUILDER, CHART, CHILDREN, MONTH, SERVICE_UNIT, TABLE, ReportDefinition

PAGE, TITLE = BUILDER, "Report builder"
# Filters that the bar holds as one value each.
_SINGLE = {SERVICE_UNIT: "place", "provider": "provider", "payer_class": "payer"}
_WORDS = {MONTH: "month", CHILDREN: "unit below the place", SERVICE_UNIT: "unit"}


def words(breakdown: str) -> str:
    """A breakdown in words, such as `payer class` or `denial reason (CARC)`."""
    label = filters.LABELS.get(breakdown, breakdown.replace("_", " "))
    return _WORDS.get(breakdown) or (label if label.startswith("ZIP") else fmt.lower_first(label))


def definition_of(view: View) -> ReportDefinition | None:
    """The report that a view says; None where it names no metric. Raises ConfigurationError for an address that holds no report."""
    if not view.measures:
        return None
    values = {
        name: tuple(value) if isinstance(value, tuple | list) else (value,)
        for name, value in filters.chosen(view).items()
    }
    by = view.by if not {SERVICE_UNIT, CHILDREN} <= set(view.by) else view.by[:1]
    try:
        return ReportDefinition(
            metrics=view.measures,
            by=by,
            filters=values,
            period=view.period.key,
            shown_as=CHART if view.shown == CHART else TABLE,
        )
    except ValidationError:
        raise ConfigurationError("this address holds too many or unreadable filters; take some away") from None


def opened(definition: ReportDefinition, view: View, report_id: str, as_of: date) -> View:
    """The view that shows a saved report: its own period and filters; comparison and version stay as they are.

    Raises ConfigurationError for a filter that the pages do not have.
    """
    view = View(
        period=periods.parse(definition.period, as_of),
        compare=view.compare,
        restated=view.restated,
        as_of=view.as_of,
        report=report_id,
        measures=definition.metrics,
        by=definition.by,
        shown=definition.shown_as,
    )
    for name, values in definition.filters.items():
        if name in _SINGLE and len(values) == 1:
            view = replace(view, **{_SINGLE[name]: values[0]})  # type: ignore[arg-type]
        elif name in URL_NAMES:
            view = view.filtered(name, sorted(values))
        else:
            raise ConfigurationError(f"this report is filtered by {words(name)} in a way that pages do not have")
    return view
