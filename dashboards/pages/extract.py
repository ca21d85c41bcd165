"""Extract: the rows that a person may see, as a file for tools on the person's own machine."""

from dataclasses import dataclass

import streamlit as st

from dashboards import format as fmt
from dashboards import markup, shell
from dashboards.data import Source
from dashboards.shell import PageContext
from foundation.errors import ClinicmartError
from serving.extracts.metric_views import period_of
from serving.model import ExtractReport

MADE = "cm_extract_made"
FORMATS = {
    "duckdb": "DuckDB file, encrypted",
    "parquet": "ZIP of Parquet files, not encrypted",
}
OPENED_BY = {
    "duckdb": "Opens in DuckDB 1.4 (LTS) and later, from Python, R, Java or its shell. You need the key that is shown once.",
    "parquet": "Opens in polars, pandas, R (arrow), Spark, Power BI and every release of DuckDB. Keep it where such rows may lie.",
}
ENDINGS = {"duckdb": "duckdb", "parquet": "zip"}
ATTACH = "ATTACH '{name}' AS extract (ENCRYPTION_KEY '{key}', READ_ONLY);\nSELECT * FROM extract.dictionary.queries;"


@dataclass(frozen=True)
class Made:
    """An extract that waits for its download in the session: whose scope it is of, its file, and what was written."""

    scope_hash: str
    file_format: str
    content: bytes
    report: ExtractReport

    @property
    def name(self) -> str:
        return f"extract_{self.report.version}.{ENDINGS[self.file_format]}"


def draw(context: PageContext) -> None:
    """Draws what an extract holds, the choice of its format, and the file once it is made."""
    source = context.source
    line = [f"data to {fmt.day(source.as_of)}", f"version {source.reader.version.version}", _identity(source)]
    context.html(markup.heading("Take your rows to your own tools", line, shell.whose(source)), key="cm_head")
    inside = [
        ("marts", "One table for each kind of record, and the tables of units, payers, providers and days"),
        ("metrics", f"A view for each of your {len(source.metrics)} metrics, by {period_of(source.reader.scope)}"),
        ("dictionary", "What each table, column, key and metric means, and example queries that run as they are"),
    ]
    columns = [markup.Column("Schema"), markup.Column("Holds")]
    table = markup.table(columns, [markup.Row(row) for row in inside], caption="What is inside")
    context.html(
        markup.section("What is inside", "The rows that you may see, as they may leave") + table, key="cm_inside"
    )
    with st.form("cm_extract_form"):
        chosen = st.radio(
            "Format",
            list(FORMATS),
            format_func=lambda name: FORMATS[name],
            captions=list(OPENED_BY.values()),
        )
        is_asked = st.form_submit_button("Make the extract", type="primary")
    st.caption("Making an extract takes up to a few minutes, and is recorded with its format and number of rows.")
    if is_asked:
        st.session_state.pop(MADE, None)
        try:
            with st.spinner("The extract is being written"):
                content, report = source.make_extract(chosen)
        except ClinicmartError as error:
            context.html(markup.state("No extract was made", fmt.sentence(str(error))), key="cm_extract_failed")
            return
        st.session_state[MADE] = Made(source.reader.scope.hash, chosen, content, report)
    made = st.session_state.get(MADE)
    if made is not None and made.scope_hash == source.reader.scope.hash:
        _show(context, made)


def _identity(source: Source) -> str:
    rule = source.reader.scope.deidentification
    if rule:
        return f"de-identified by the rule {rule.replace('_', ' ')}"
    return "patients are tokens, without names"


def _show(context: PageContext, made: Made) -> None:
    """The file to download, its key, and how well people hide in it."""
    report = made.report
    megabytes = len(made.content) / 1024**2
    size = f"{megabytes:,.1f} MB" if megabytes >= 1 else f"{len(made.content) / 1024:,.0f} kB"
    note = f"{fmt.plural(len(report.tables), 'table')}, {fmt.plural(report.rows, 'row')}, {size}"
    context.html(markup.section("Your extract is ready", note), key="cm_extract_ready")
    st.download_button(
        f"Download {made.name}",
        made.content,
        file_name=made.name,
        key="cm_extract_file",
        on_click="ignore",
        type="primary",
    )
    if report.key:
        st.caption("The key is shown here once and kept nowhere. Copy it now.")
        st.code(ATTACH.format(name=made.name, key=report.key), language="sql", wrap_lines=True)
    anonymity = report.anonymity
    if anonymity.people:
        text = (
            f"Of {anonymity.people:,} patients each shares {', '.join(anonymity.quasi_identifiers)} with at least {anonymity.k:,}; "
            f"{anonymity.alone:,} share them with nobody."
        )
        st.caption(text.replace("_", " "))
