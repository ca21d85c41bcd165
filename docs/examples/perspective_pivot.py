"""Opens an extract in Perspective, an open BI tool for pivot tables and charts, and prints a pivot: no-shows by clinic and payer class.

    pip install duckdb pyarrow perspective-python
    CLINICMART_EXTRACT=harbor.duckdb CLINICMART_EXTRACT_KEY=... python perspective_pivot.py

Perspective asks DuckDB; no row leaves the extract for it. A viewer in a browser or in JupyterLab connects to the same server.
"""

import os
from collections.abc import Callable
from pathlib import Path

import duckdb
import perspective
from perspective.virtual_servers.duckdb import DuckDBVirtualServer

# What the tool shows: Perspective pivots one table at a time, so the fact table is joined to its dimensions here.
APPOINTMENTS = """
create view appointments as
select
    units.clinic_id as clinic,
    units.clinic_name,
    facts.payer_class,
    facts.outcome,
    facts.appointment_date,
    facts.is_no_show::integer as no_shows,
    facts.is_expected::integer as expected
from extract.marts.fct_appointments as facts
join extract.marts.dim_service_unit_versions as units using (service_unit_key)
"""


def opened(extract: Path, key: str) -> duckdb.DuckDBPyConnection:
    """A connection with the encrypted DuckDB file attached as `extract`, and the view `appointments` for the tool."""
    connection = duckdb.connect()
    connection.execute(f"attach '{extract}' as extract (encryption_key '{key}', read_only)")
    connection.execute(APPOINTMENTS)
    return connection


def client_of(connection: duckdb.DuckDBPyConnection) -> perspective.Client:
    """A client of Perspective whose questions DuckDB answers."""
    answer: list[Callable[[bytes], None]] = []
    session = DuckDBVirtualServer(connection).new_session(lambda message: answer[0](message))
    client = perspective.Client(session.handle_request, session.close)
    answer.append(client.handle_response)
    return client


def pivot(client: perspective.Client) -> list[dict[str, object]]:
    """No-shows and expected appointments by clinic and payer class: one mapping a row; totals have a shorter `__ROW_PATH__`."""
    view = client.open_table("memory.appointments").view(
        group_by=["clinic", "payer_class"],
        columns=["no_shows", "expected"],
        aggregates={"no_shows": "sum", "expected": "sum"},
    )
    rows = view.to_json()
    view.delete()
    return rows


if __name__ == "__main__":
    pivoted = pivot(client_of(opened(Path(os.environ["CLINICMART_EXTRACT"]), os.environ["CLINICMART_EXTRACT_KEY"])))
    for row in pivoted:
        print(row)
