"""The page: one figure of one unit with its band, the units below it and why some have no forecast, and the record of earlier ones."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import polars as pl
from markupsafe import Markup

from dashboards import blocks, charts, markup, widgets
from dashboards import format as fmt
from dashboards.data import Place, Source
from dashboards.pages.forecasts import words
from dashboards.shell import PageContext
from serving.forecasts.measures import DAY, MEASURES, WEEK, Measure
from serving.forecasts.record import Scored, record_of
from serving.people.forecast_log import Forecast, Point
from serving.people.targets import WHOLE

# So many periods of the past are drawn before a forecast.
_PAST = {WEEK: 26, DAY: 28}
_MOST_OUTCOMES = 13
_STALE_DAYS = 7


def draw(context: PageContext) -> None:
    """Draws the page for the place and the section of the address."""
    source = context.source
    measures = [measure for measure in MEASURES if measure.metric in source.metrics]
    measure = next((item for item in measures if item.key == context.view.section), measures[0])
    unit = _unit(source, context.view.place)
    name = _name(source, unit)
    current = source.forecasts
    if current is None:
        _head(context, f"No forecasts were made for {source.tenant_name} yet", [])
        text = (
            "An administrator makes them with the command clinicmart forecasts make, once for each published version."
        )
        blocks.empty(context, "Nothing to show", text, "cm_forecast_none")
        _card(context)
        return
    forecast = None if unit is None else current.of(measure.metric, measure.grain, unit)
    issue, below = current.issue, _with_forecast(source, measure, context.view.place)
    age = (source.as_of - issue.data_as_of).days
    _head(
        context,
        words.finding(measure, forecast, name, below) if unit is not None else "Choose one of your units below",
        [
            f"made {fmt.day(fmt.local_date(issue.made_at, source.time_zone))} from data to {fmt.day(issue.data_as_of)}",
            f"{age} days before the last data: make forecasts again" if age > _STALE_DAYS else "",
            f"model {issue.model}",
            source.hidden_note.removesuffix("."),
        ],
    )
    context.html(_switch(measures, measure), key="cm_forecast_measures")
    if unit is None:
        _units(context, measure, source.tops)
    else:
        scored = [item for item in source.scored_forecasts if _is_of(item, measure, unit)]
        came = _came(source, measure, unit)
        _facts(context, measure, forecast, scored, came)
        _chart(context, measure, name, forecast, came)
        _units(context, measure, _below(source, context.view.place))
        _record(context, measure, name, scored)
    _card(context)


# What is asked


def _unit(source: Source, place: str | None) -> str | None:
    """The unit of a place: WHOLE for the whole tenant, None for a person who sees several parts of it and chose none."""
    if place is not None:
        return place
    if not source.reader.scope.is_restricted:
        return WHOLE
    return source.root.id if source.root else None


def _name(source: Source, unit: str | None) -> str:
    return source.places[unit].name if unit in source.places else source.scope_label or source.tenant_name


def _below(source: Source, place: str | None) -> list[Place]:
    """The units one level below a place; below the top of what the person sees without one."""
    return source.children(place or (source.root.id if source.root else None))


def _with_forecast(source: Source, measure: Measure, place: str | None) -> tuple[int, int]:
    """How many units below a place have a forecast, and of how many."""
    current = source.forecasts
    units = _below(source, place) if current else []
    forecasts = [current.of(measure.metric, measure.grain, unit.id) for unit in units] if current else []
    return sum(1 for item in forecasts if item and item.is_shown), sum(1 for item in forecasts if item)


def _is_of(item: Scored, measure: Measure, unit: str) -> bool:
    return (item.metric, item.grain, item.service_unit_id) == (measure.metric, measure.grain, unit)


def _step(measure: Measure) -> timedelta:
    return timedelta(days=7 if measure.grain == WEEK else 1)


def _end(measure: Measure, first_day: date) -> date:
    return first_day + _step(measure) - timedelta(days=1)


def _came(source: Source, measure: Measure, unit: str) -> dict[date, Any]:
    """The figure of each of the last periods that are over, by its first day: 0 for a period without a row, null for a hidden figure."""
    as_of, step = source.as_of, _step(measure)
    last = as_of - timedelta(days=(as_of.weekday() + 1) % 7 + 6) if measure.grain == WEEK else as_of
    first = last - (_PAST[measure.grain] - 1) * step
    frame = source.telling(True).query(
        [measure.metric],
        grain=measure.grain,
        where={} if unit == WHOLE else {"service_unit": unit},
        start=first,
        end=_end(measure, last),
    )
    values: dict[date, Any] = {first + place * step: 0 for place in range(_PAST[measure.grain])}
    of_days = frame.filter(pl.col("metric_time").is_not_null()).select("metric_time", measure.metric)
    return values | dict(of_days.iter_rows())


# What is drawn


def _head(context: PageContext, finding: str, line: list[str]) -> None:
    source = context.source
    path = [place for place in source.path(context.view.place) if place != source.root]
    whole = source.scope_label or source.tenant_name
    crumbs = markup.breadcrumb(
        [(whole, widgets.move(place=None)), *[(place.name, widgets.move(place=place.id)) for place in path]],
        tenant=source.tenant_name if source.scope_label else "",
    )
    context.html(markup.heading(finding, [part for part in line if part], crumbs), key="cm_head")


def _switch(measures: list[Measure], chosen: Measure) -> Markup:
    tabs = [
        markup.button(
            words.TITLES[measure.key][0],
            widgets.move(section=None if measure is measures[0] else measure.key),
            "cm-tab cm-here" if measure is chosen else "cm-tab",
        )
        for measure in measures
    ]
    return Markup('<nav class="cm-tabs" aria-label="Figures">{}</nav>').format(markup.join(tabs))


def _facts(
    context: PageContext,
    measure: Measure,
    forecast: Forecast | None,
    scored: Sequence[Scored],
    came: Mapping[date, Any],
) -> None:
    """What the next periods add up to, and how good the forecast was in back-test and on record."""
    if forecast is None:
        return
    unit, tiles = words.unit_of(measure), []
    if forecast.points:
        count = len(forecast.points)
        total = sum((point.value for point in forecast.points), start=forecast.points[0].value * 0)
        first, last = forecast.points[0].first_day, forecast.points[-1].first_day
        before = list(came.values())[-count:]
        usual = "" if None in before else f"; {fmt.short(sum(before), unit)} in the {count} before"
        note = f"{fmt.day(first)} to {fmt.day(_end(measure, last))}{usual}"
        tiles.append((f"Next {count} {measure.grain}s", fmt.short(total, unit), note))
    better = words.better(forecast)
    if better is not None:
        title = "Smaller errors by" if better >= 0 else "Larger errors by"
        note = "than the mean of the last four same weekdays, in back-test"
        tiles.append((title, f"{abs(better) * 100:.0f}{fmt.NARROW}%", note))
    if forecast.held is not None:
        note = f"of {forecast.outcomes:,} outcomes in back-test, from {forecast.origins} weeks; 85 to 95 % is required"
        tiles.append(("90 % band held", f"{forecast.held * 100:.1f}{fmt.NARROW}%", note))
    (record,) = record_of(scored) or (None,)
    tiles.append(("90 % band held on record", *words.on_record(record, unit)))
    context.html(markup.facts(tiles, "The forecast"), key="cm_forecast_facts")


def _chart(
    context: PageContext, measure: Measure, name: str, forecast: Forecast | None, came: Mapping[date, Any]
) -> None:
    """What came and what is forecast; without a forecast the reason above what came."""
    title = words.TITLES[measure.key][0]
    points = {point.first_day: point for point in forecast.points} if forecast else {}
    if points:
        blocks.section(title, f"{name}; solid: what came; dashed: the forecast; pale: its 90 % band")
    else:
        blocks.section(title, f"{name}: what came")
        reason = forecast.reason if forecast else "there are no such figures"
        blocks.empty(context, "No forecast is shown", fmt.sentence(reason), "cm_forecast_why")
    if all(value is None or not value for value in came.values()):
        return
    begin, step = min(came), _step(measure)
    days = [begin + place * step for place in range((max([*came, *points]) - begin) // step + 1)]
    values = [came.get(day) for day in days]
    expected = [
        charts.Expected(points[day].value, points[day].low, points[day].high) if day in points else None for day in days
    ]
    unit = words.unit_of(measure)
    columns = [
        markup.Column(_period_title(measure)),
        *(markup.Column(text, unit) for text in ("Came", "Forecast", "Low", "High")),
    ]
    rows = [
        markup.Row((fmt.day(day), value, *_limits(measure, points.get(day))))
        for day, value in zip(days, values, strict=True)
    ]
    context.chart(
        charts.forecast_band(context.look, days, values, expected, name="Came", unit=unit),
        key="cm_forecast",
        height=340,
        alt=f"{title}, {name}, with the forecast",
        table=markup.table(columns, rows, caption=f"{title}, {name}"),
    )


def _period_title(measure: Measure) -> str:
    return "Day" if measure.grain == DAY else "Week of"


def _limits(measure: Measure, point: Point | None) -> tuple[Any, Any, Any]:
    """What is forecast of a period and the limits of its band, as tables show them."""
    if point is None:
        return None, None, None
    return words.shown(measure, point.value), words.shown(measure, point.low), words.shown(measure, point.high)


def _units(context: PageContext, measure: Measure, units: Sequence[Place]) -> None:
    """Some units: the next period, or why there is none."""
    current = context.source.forecasts
    assert current is not None
    rows, shown = [], 0
    for place in units:
        forecast = current.of(measure.metric, measure.grain, place.id)
        if forecast is None:
            continue
        shown += forecast.is_shown
        cells = (
            place.name,
            *_limits(measure, next((item for item in forecast.points if item.has_band), None)),
            words.better(forecast) if forecast.is_shown else None,
            forecast.held if forecast.is_shown else None,
            fmt.sentence(forecast.reason) if forecast.reason else "",
        )
        rows.append(markup.Row(cells, widgets.move(place=place.id)))
    if not rows:
        return
    unit, period = words.unit_of(measure), measure.grain
    note = f"{shown} of {len(rows)} have a forecast; the next {period} with its band. Parts add up to the whole."
    blocks.section("Units below", note)
    columns = [
        markup.Column("Unit"),
        markup.Column(f"Next {period}", unit),
        markup.Column("Low", unit),
        markup.Column("High", unit),
        markup.Column("Errors smaller by", "percent"),
        markup.Column("Band held", "percent"),
        markup.Column("No forecast, because"),
    ]
    context.html(markup.table(columns, rows, caption="Units below"), key="cm_forecast_units")


def _record(context: PageContext, measure: Measure, name: str, scored: Sequence[Scored]) -> None:
    """The last periods beside the last forecast that was made before each."""
    blocks.section("Earlier forecasts and what came", f"{name}; each was written down before its outcome")
    if not scored:
        text = "The first outcomes come with the first period that ends after a forecast was made."
        blocks.empty(context, "No forecast has an outcome yet", text, "cm_forecast_no_record")
        return
    unit = words.unit_of(measure)
    columns = [
        markup.Column(_period_title(measure)),
        markup.Column("Made from data to"),
        *(markup.Column(text, unit) for text in ("Forecast", "Low", "High", "Came")),
        markup.Column("In the band"),
    ]
    last_before = {item.point.first_day: item for item in sorted(scored, key=lambda item: item.issue.data_as_of)}
    newest = [last_before[day] for day in sorted(last_before, reverse=True)[:_MOST_OUTCOMES]]
    rows = [
        markup.Row(
            (
                fmt.day(item.point.first_day),
                fmt.day(item.issue.data_as_of),
                *_limits(measure, item.point),
                item.outcome,
                "yes" if item.is_inside else "no",
            )
        )
        for item in newest
    ]
    context.html(markup.table(columns, rows, caption="Earlier forecasts and what came"), key="cm_forecast_record")
    if len(scored) > len(rows):
        blocks.small_print(
            f"Each {measure.grain} beside the last forecast before it. The tile counts all {len(scored):,} forecasts that have an "
            "outcome; clinicmart forecasts score lists them."
        )


def _card(context: PageContext) -> None:
    """What the model is, what it does not know, and when it is shown."""
    context.html(
        markup.folded("How this is forecast, and what it does not know", markup.terms(words.MODEL_CARD)),
        key="cm_forecast_card",
    )
