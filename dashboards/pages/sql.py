"""SQL: an analyst's own questions to the rows of the extract, one SELECT at a time."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import polars as pl
import streamlit as st

from dashboards import format as fmt
from dashboards import markup, shell, sql_chart, sql_words, widgets
from dashboards.data import Source
from dashboards.person import still
from dashboards.shell import PageContext
from dashboards.sql_job import Job
from foundation.errors import ClinicmartError
from serving.people.saved_queries import SavedQuery
from serving.workbench import LIMITS, Bench
from serving.workbench.statement import LONGEST

JOB, TEXT, OPEN, ASKED = "cm_sql_job", "cm_sql_text", "cm_sql_open", "cm_sql_asked"
POLL_SECONDS = 0.5
# A quick query is shown with the click: most of this is the start of its process.
QUICK_SECONDS = 1.5
MOST_SHOWN = 10_000
MOST_FIELDS = 3
METRICS, DICTIONARY = "metrics", "dictionary"
FORMATS = {"csv": "CSV", "xlsx": "Excel (XLSX)", "parquet": "Parquet"}


def draw(context: PageContext) -> None:
    """Draws the editor, the result, and beside them the tables that can be asked."""
    source = context.source
    line = [
        f"data to {fmt.day(source.as_of)}",
        f"version {source.reader.version.version}",
        f"at most {LIMITS.seconds:g} seconds and {LIMITS.rows:,} rows a query",
        "every query is recorded",
    ]
    context.html(markup.heading("Ask your rows with SQL", line, shell.whose(source)), key="cm_head")
    bench = source.bench
    with st.spinner("Your tables are being prepared"):
        words = source.dictionary
    left, right = st.columns([5, 3], gap="large")
    with left:
        _editor(context, bench, words)
        job = _job(source)
        is_running = job is not None and job.is_running
        # Only a running query is looked at again and again.
        outcome = st.fragment(
            still(source, lambda: _outcome(context, is_running)), run_every=POLL_SECONDS if is_running else None
        )
        outcome()
    with right:
        _tables(context, bench, words)


def _job(source: Source) -> Job | None:
    """The query of this session; None where it was asked under other rights or another version."""
    job = st.session_state.get(JOB)
    return job if job is not None and job.key == source.key else None


def _editor(context: PageContext, bench: Bench, words: Mapping[str, pl.DataFrame]) -> None:
    source = context.source
    examples = words["queries"].rows()
    saved = bench.queries.saved()
    queries = _by_title(
        [
            *((f"Example: {title}", sql) for title, sql in examples),
            *((_saved_title(source, query), query.sql) for query in saved),
            *((_past_title(source, query.at, query.sql), query.sql) for query in bench.queries.history()),
        ]
    )
    st.session_state.setdefault(TEXT, examples[0][1] if examples else "")

    def opened() -> None:
        st.session_state[TEXT] = queries.get(st.session_state[OPEN] or "", st.session_state[TEXT])

    def ask() -> None:
        st.session_state[ASKED] = st.session_state[TEXT]

    st.selectbox(
        "Open a query",
        list(queries),
        index=None,
        key=OPEN,
        on_change=opened,
        placeholder="An example, a saved or a past query",
    )
    st.text_area("One SELECT on your tables", key=TEXT, height=200, max_chars=LONGEST)
    sql_words.draw(TEXT, words)
    job = _begun(source, bench) or _job(source)
    with st.container(horizontal=True, key="cm_sql_buttons"):
        st.button("Run", type="primary", on_click=ask, disabled=job is not None and job.is_running)
        with st.popover("Save"):
            _save(bench, saved)


def _begun(source: Source, bench: Bench) -> Job | None:
    """Begins the query that a click asked for; None where none did. A click is handled before the page looks up who asks and what the
    person may see, so that the query begins here and not there."""
    sql = st.session_state.pop(ASKED, None)
    if sql is None:
        return None
    job = st.session_state[JOB] = Job(bench, sql, source.key)
    job.wait(QUICK_SECONDS)
    return job


def _saved_title(source: Source, query: SavedQuery) -> str:
    if query.email != source.principal.email:
        return f"Saved: {query.name} (shared by {query.email})"
    return f"Saved: {query.name}" + (" (shared)" if query.is_shared else "")


def _past_title(source: Source, at: datetime, sql: str) -> str:
    return f"{fmt.moment(at, source.time_zone)}: {' '.join(sql.split())[:80]}"


def _by_title(queries: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Title to SQL; other queries of the same title get a number."""
    by_title: dict[str, str] = {}
    for title, sql in queries:
        unique, number = title, 1
        while by_title.get(unique, sql) != sql:
            number += 1
            unique = f"{title} ({number})"
        by_title[unique] = sql
    return by_title


def _save(bench: Bench, saved: Sequence[SavedQuery]) -> None:
    """Saves the text under a name, or removes a saved query."""
    name = st.text_input("Name", key="cm_sql_name", max_chars=80)
    is_shared = st.checkbox("Others of the organization who may ask SQL can read it", key="cm_sql_shared")
    if st.button("Save the query"):
        try:
            bench.queries.save(name, st.session_state[TEXT], is_shared=is_shared)
        except ClinicmartError as error:
            st.caption(fmt.sentence(str(error)))
        else:
            st.rerun()
    mine = {query.name: query.query_id for query in saved if query.email == bench.email}
    if mine:
        gone = st.selectbox("Your saved queries", list(mine), key="cm_sql_mine")
        if st.button("Remove it") and gone in mine:
            bench.queries.remove(mine[gone])
            st.rerun()


def _outcome(context: PageContext, was_running: bool) -> None:
    """The running query with a way to cancel it; then its rows, or why there are none."""
    job = _job(context.source)
    if job is None:
        return
    if job.is_running:
        with st.container(horizontal=True, vertical_alignment="center", key="cm_sql_running"):
            st.button("Cancel", on_click=job.cancel, key="cm_sql_cancel")
            widgets.html(
                markup.state("The query runs", f"{job.seconds:.0f} s of {LIMITS.seconds:g} s"), key="cm_sql_state"
            )
        return
    if was_running:
        # Draws the whole page, which then asks no more.
        st.rerun()
    if job.result is None:
        widgets.html(markup.state("No result", job.problem), key="cm_sql_problem")
        return
    frame = job.result.frame
    rows = f"the first {fmt.plural(frame.height, 'row')}" if job.result.is_cut else fmt.plural(frame.height, "row")
    note = f"{rows} in {job.result.seconds:.1f} s"
    if frame.height > MOST_SHOWN:
        note += f"; {MOST_SHOWN:,} are shown, the files hold all {frame.height:,}"
    if job.result.is_cut:
        note += f". There are more than {LIMITS.rows:,}: take an extract for all of them"
    widgets.html(markup.section("Result", note), key="cm_sql_note")
    st.dataframe(frame.head(MOST_SHOWN), hide_index=True, key="cm_sql_rows")
    sql_chart.draw(frame)
    with st.container(horizontal=True, key="cm_sql_files"):
        for file_format, name in FORMATS.items():
            st.download_button(
                name,
                context.source.sql_file(job.result, file_format),
                file_name=f"query.{file_format}",
                key=f"cm_sql_{file_format}",
                on_click="ignore",
            )


def _tables(context: PageContext, bench: Bench, words: Mapping[str, pl.DataFrame]) -> None:
    """The tables with their columns and what they mean; the metrics with their views."""
    tables = {table.name: table for table in bench.tables(words)}
    # The facts first: most questions begin with one.
    names = sorted(tables, key=lambda name: (not name.startswith("fct_"), name))
    chosen = st.selectbox("Tables", [*names, METRICS, DICTIONARY], key="cm_sql_table")
    if chosen == METRICS:
        metrics = words["metrics"].filter(words["metrics"]["view_name"] != "no view")
        rows = [
            markup.Row(
                (row["view_name"], row["label"], row["description"]), action=_lineage_of(context, row["view_name"])
            )
            for row in metrics.iter_rows(named=True)
        ]
        _describe(context, "A view for each metric, by period", ("View", "Metric", "Meaning"), rows)
    elif chosen == DICTIONARY:
        parts = [markup.Row((f"dictionary.{name}", ", ".join(frame.columns))) for name, frame in words.items()]
        _describe(context, "What tables, columns, keys and metrics mean", ("Table", "Columns"), parts)
    elif chosen in tables:
        table = tables[chosen]
        made_from = bench.made_from(table.name)
        rows = [
            markup.Row(
                (
                    row["column_name"],
                    row["data_type"].lower(),
                    _meaning(row["description"], row["key"]),
                    _listed(made_from.get(row["column_name"], ())),
                )
            )
            for row in table.columns.iter_rows(named=True)
        ]
        _describe(
            context,
            f"{table.schema}.{table.name}: {table.description}",
            ("Column", "Type", "Meaning", "Made from"),
            rows,
        )


def _lineage_of(context: PageContext, view_name: str) -> str:
    """The action that opens what a metric rests on; empty for roles without that page."""
    return f"{widgets.PAGE}lineage?metric={view_name.partition('.')[2]}" if "lineage" in context.pages else ""


def _listed(fields: Sequence[str]) -> str:
    """The first source fields of a column, and how many more there are."""
    more = len(fields) - MOST_FIELDS
    return ", ".join(fields[:MOST_FIELDS]) + (f" and {more} more" if more > 0 else "")


def _meaning(description: str, key: str) -> str:
    if key == "primary":
        return f"{description} Primary key."
    return description if key == "no key" else f"{description} Leads to {key}."


def _describe(context: PageContext, text: str, columns: tuple[str, ...], rows: list[markup.Row]) -> None:
    table = markup.table([markup.Column(name) for name in columns], rows, caption=text)
    context.html(markup.section("What it holds", text) + table, key="cm_sql_describe")
