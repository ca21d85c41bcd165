"""ECharts options. Pure: values in, a JSON-like dict out, all colours from the tokens.

Values arrive in the metric's unit and are scaled here so that an axis says its unit in short ticks; the exact value
travels with each mark as a text for the hover. Bars start at zero, series are labelled where they are, no dual axis.
"""

from dashboards.charts.annotated import ANNOTATION_MARK, annotated
from dashboards.charts.axes import CLOSED_NOTE, RUNNING_MARK, Option, Point, Scale, month_names, scale_for
from dashboards.charts.bars import Part, Rank, ranked_bars, stacked_bars
from dashboards.charts.forecast import Expected, forecast_band
from dashboards.charts.heat import WEEKDAYS, heat_map
from dashboards.charts.lines import line_over_time
from dashboards.charts.of_rows import across_columns, chart_of_rows, number_columns

__all__ = [
    "ANNOTATION_MARK",
    "CLOSED_NOTE",
    "RUNNING_MARK",
    "WEEKDAYS",
    "Expected",
    "Option",
    "Part",
    "Point",
    "Rank",
    "Scale",
    "across_columns",
    "annotated",
    "chart_of_rows",
    "forecast_band",
    "heat_map",
    "line_over_time",
    "month_names",
    "number_columns",
    "ranked_bars",
    "scale_for",
    "stacked_bars",
]
