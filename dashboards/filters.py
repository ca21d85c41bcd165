"""Filters of a page beside its place and period: their names in words, which of them an address may hold, and how a figure that
cannot take one says so."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dashboards import charts, theme
from dashboards import format as fmt
from dashboards import view as states
from dashboards.data import Source
from dashboards.view import FILTERS, PARAMETERS, View
from foundation.errors import ClinicmartError
from serving.model import MetricDefinition

LABELS = {
    "payer": "Payer",
    "payer_class": "Payer class",
    "carc": "Denial reason (CARC)",
    "denial_category": "Denial category",
    "provider": "Provider",
    "service_unit": "Place",
    "visit_type": "Visit type",
    "weekday": "Weekday",
    "hour_of_day": "Hour",
    "lead_time_band": "Days from booking",
    "reminder_channel": "Last reminder",
    "ageing_bucket": "Age of balance",
    "prior_no_show_band": "Missed before",
    "reminder_notice_band": "Reminded before the start",
    "furthest_stage": "Stage of the referral",
    "takeback_kind": "Kind of takeback",
    "staff_role": "Role of staff",
    "item_code": "Supply",
    "procedure_code": "Procedure code",
    "evaluation_level": "Level of the visit",
    "evaluation_group": "Group of visits with levels",
    "diagnosis_chapter": "Chapter of the diagnosis",
    "diagnosis_category": "Category of the diagnosis",
    "age_band": "Age",
    "sex": "Sex",
    "language": "Language",
    "zip3": "ZIP area",
    "patient_kind": "New or established",
    "charge_lag_band": "Days from service to entry",
    "payer_lag_band": "Days from submission to decision",
    "months_after_service": "Months after the service",
}
# Values of dimensions in words, where the value alone would not tell.
WORDS = {
    "reminder_channel": {"none": "No reminder", "text": "Text message", "phone": "Phone call"},
    "reminder_notice_band": {"none": "No reminder"},
    "prior_no_show_band": {"0 none": "Never", "1": "Once", "2 and more": "Twice or more"},
    "language": {
        "en": "English",
        "es": "Spanish",
        "zh": "Chinese",
        "vi": "Vietnamese",
        "fr": "French",
        "ru": "Russian",
    },
    "takeback_kind": {"reversal": "A claim payment reversed", "provider_level": "Withheld from a payment"},
}
NOT_RECORDED = "Not recorded"
MOST_NAMED = 3


@dataclass(frozen=True)
class Chip:
    """A filter in force: its label, its value in words, and the URL name that removes it."""

    name: str
    value: str
    url_name: str


def chosen(view: View) -> dict[str, Any]:
    """The view's filters as `where` of a question, the place among them: dimension to a value or several."""
    where: dict[str, Any] = {name: values[0] if len(values) == 1 else values for name, values in view.filters}
    for dimension, value in (("service_unit", view.place), ("provider", view.provider), ("payer_class", view.payer)):
        if value:
            where[dimension] = value
    return where


def hashable(where: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """A `where` as a value that can be a key."""
    return tuple(sorted((name, tuple(value) if isinstance(value, list) else value) for name, value in where.items()))


def missing(view: View, metric: MetricDefinition) -> str:
    """`Cannot be filtered by payer`: the filters of the view that a metric does not know; empty where it knows all."""
    if not metric.dimensions:
        return ""
    lacking = [LABELS[name].lower().replace("carc", "CARC") for name in chosen(view) if name not in metric.dimensions]
    return f"Cannot be filtered by {' and '.join(lacking)}" if lacking else ""


def value_label(source: Source, dimension: str, value: str) -> str:
    """A value of a dimension in words: the name of a member, a weekday, an hour, else the value in plain words."""
    if dimension == "weekday":
        return charts.WEEKDAYS[int(value) - 1] if value in _WEEKDAYS else value
    if dimension == "hour_of_day" and value.isdecimal():
        return f"{int(value):02d}:00 to {int(value) + 1:02d}:00"
    return label_of(dimension, value, names(source, dimension))


def label_of(dimension: str, value: str, names_of_members: Mapping[str, str]) -> str:
    """The name of a member: its own, a payer class's, else the value in plain words."""
    if not value:
        return NOT_RECORDED
    if dimension == "payer_class":
        return theme.payer_label(value)
    if dimension == "carc":
        return value if any(character.isdigit() for character in value) else value.replace("_", " ").capitalize()
    if value == "0 same day":
        return "Same day"
    if value in WORDS.get(dimension, {}):
        return WORDS[dimension][value]
    if dimension == "furthest_stage":
        # `3 scheduled`: the number keeps the order.
        value = value.lstrip("0123456789 ")
    if dimension == "lead_time_band" and value[:1].isdigit():
        return f"{value} days"
    name = names_of_members.get(value)
    return name if name and name != value else value.replace("_", " ")[:1].upper() + value.replace("_", " ")[1:]


_WEEKDAYS = frozenset("1234567")
_HOURS = frozenset(str(hour) for hour in range(24))


def names(source: Source, dimension: str) -> dict[str, str]:
    """Names by value of a dimension, within the scope; empty if the version does not have the dimension."""
    if dimension in ("weekday", "hour_of_day"):
        values = _WEEKDAYS if dimension == "weekday" else _HOURS
        return {value: value for value in sorted(values, key=int)}
    try:
        return source.names(dimension)
    except ClinicmartError:
        return {}


def checked(source: Source, view: View) -> tuple[View, list[str]]:
    """The view without filters whose values this person cannot see, and a sentence for each that was left out.

    Whether a value exists for others is not said.
    """
    left_out = []
    if view.place and view.place not in source.places:
        left_out.append(
            "That place is not among those you may see, or it is no longer there. This is everything you may see."
        )
        view = replace(view, place=None, provider=None)
    if view.provider and view.provider not in names(source, "provider"):
        left_out.append(_unknown("provider"))
        view = replace(view, provider=None)
    if view.payer and view.payer not in {*theme.PAYER_CLASSES, *names(source, "payer_class")}:
        left_out.append(_unknown("payer_class"))
        view = replace(view, payer=None)
    for dimension, values in view.filters:
        allowed = [value for value in values if value in names(source, dimension)]
        if len(allowed) < len(values):
            left_out.append(_unknown(dimension))
            view = view.filtered(dimension, allowed)
    return view, left_out


def _unknown(dimension: str) -> str:
    return f"{LABELS[dimension]}: this value is not among those you may see. The filter was left out."


def unknown_names(params: Iterable[str]) -> list[str]:
    """Names in an address that no page knows (`plain_names`)."""
    return plain_names(name for name in params if name not in PARAMETERS)


def plain_names(names: Iterable[str]) -> list[str]:
    """At most three names, each as far as it is a plain word: they come from a browser and are shown."""
    first = list(dict.fromkeys(names))[:MOST_NAMED]
    return [name if name.isidentifier() and len(name) <= 40 else "another name" for name in first]


def refusal_of_names(strange: Sequence[str]) -> str:
    """A sentence on names that no page knows."""
    listed = ", ".join(dict.fromkeys(name.replace("_", " ") for name in strange))
    return f"The address asks for a filter that pages do not have ({listed}). It was left out."


def chips(source: Source, view: View) -> list[Chip]:
    """The filters in force beside place and period, each with the way to take it away."""
    drawn = []
    if view.month:
        drawn.append(Chip("Month", f"{view.month:%B %Y}", "month"))
    if view.provider:
        drawn.append(Chip("Provider", value_label(source, "provider", view.provider), "provider"))
    if view.payer:
        drawn.append(Chip("Payer class", theme.payer_label(view.payer), "payer"))
    for dimension, values in view.filters:
        drawn.append(
            Chip(
                LABELS[dimension],
                values_label(source, dimension, values),
                states.URL_NAMES[dimension],
            )
        )
    return drawn


def values_label(source: Source, dimension: str, values: Sequence[str]) -> str:
    """Values of a filter in words, the first ones by name."""
    named = [value_label(source, dimension, value) for value in values[:MOST_NAMED]]
    more = len(values) - len(named)
    return ", ".join([*named, *([fmt.plural(more, "more", "more")] if more else [])])


def offered(metrics: Iterable[MetricDefinition]) -> list[str]:
    """The dimensions that some of these metrics can be filtered by, in the order of the labels; the place has a picker."""
    dimensions = {name for metric in metrics for name in metric.dimensions}
    order = ("payer_class", "provider", *FILTERS.values())
    return [name for name in LABELS if name in order and name in dimensions]
