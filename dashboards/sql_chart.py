"""A chart of the rows of a query: the person chooses the kind and the columns."""

import polars as pl
import streamlit as st

from dashboards import charts, markup, widgets
from dashboards import format as fmt
from dashboards.charts.of_rows import KINDS, MOST_MARKS, MOST_SERIES

NONE = "No chart"
HEIGHT = 360
UP = "cm_sql_chart_up"


def draw(frame: pl.DataFrame) -> None:
    """Offers a chart where a column holds numbers, and draws the chosen one. The table of the rows above shows the same values."""
    numbers, places = charts.number_columns(frame), charts.across_columns(frame)
    if not numbers or frame.height < 2:
        return
    columns = st.columns(3)
    kind = columns[0].selectbox("Chart", (NONE, *KINDS), key="cm_sql_chart_kind")
    if kind == NONE:
        return
    across = columns[1].selectbox("Across", places, key="cm_sql_chart_across")
    others = [name for name in numbers if name != across] or numbers
    chosen = st.session_state.get(UP)
    if chosen is None or not set(chosen) <= set(others):
        # What was chosen for an earlier result, as far as this one has it.
        st.session_state[UP] = [name for name in chosen or () if name in others] or others[:1]
    up = columns[2].multiselect("Up", others, key=UP, max_selections=MOST_SERIES, placeholder="Numbers")
    if not up:
        widgets.html(markup.state("No chart", "Choose a column of numbers."), key="cm_sql_chart_empty")
        return
    widgets.chart(
        charts.chart_of_rows(widgets.look(), frame, kind, across, up),
        key="cm_sql_chart",
        height=HEIGHT,
        alt=f"{kind} of {', '.join(up)} by {across}",
    )
    if frame.height > MOST_MARKS:
        st.caption(f"The chart shows the first {fmt.plural(MOST_MARKS, 'row')}; narrow or sort the query for others.")
