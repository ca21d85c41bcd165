"""The two numbers of one appointment: the placer's (SCH-1) and the filler's (SCH-2).

The first message of an appointment often has the placer's number alone, later ones have both. Rows with only the placer's
number are then moved to the filler's number: in the parts, in the raw tables and in the history of the status. The order of the
messages does not matter. `parts.appointment_number` holds, for each feed, which placer's number belongs to which filler's.
If a feed names two filler's numbers for one placer's number, the one that was read first is kept (within one load, the one with
the oldest message).
"""

import duckdb

PLACER = "placer_appointment_id"
_TABLE = "warehouse.parts.appointment_number"
_ISSUED_KEY = "warehouse.parts.issued_key"
_FEED = "n.tenant_id = r.tenant_id and n.source_system = r.source_system"


def prepare_numbers(connection: duckdb.DuckDBPyConnection) -> None:
    """Makes the table of this module where absent; the schema `parts` is there."""
    connection.execute(
        f"create table if not exists {_TABLE} "
        "(tenant_id varchar, source_system varchar, placer_id varchar, filler_id varchar)"
    )


def meet_numbers(connection: duckdb.DuckDBPyConnection, arrived: str) -> None:
    """Stores the pairs of numbers in arrived rows of appointments, and gives rows that have only a placer's number the filler's
    number: arrived rows, and rows of the parts and the raw table.

    `arrived` is a table as `take_parts` gets it. The rows of a filler's number that is new to its placer's are among them, so that
    `take_parts` puts them together with what they meet.
    """
    connection.execute("begin")
    first = "arg_min(appointment_id, (source_updated_at, appointment_id))"
    connection.execute(
        "create or replace temp table new_number as "
        f"select tenant_id, source_system, {PLACER} as placer_id, {first} as filler_id "
        f"from {arrived} r where {PLACER} <> appointment_id and not exists "
        f"(from {_TABLE} n where {_FEED} and n.placer_id = r.{PLACER}) group by all"
    )
    # A number that is also a filler's number belongs to another appointment.
    connection.execute(
        f"delete from new_number n where exists (from {_TABLE} r where {_FEED} and r.filler_id = n.placer_id) "
        f"or exists (from new_number r where {_FEED} and r.filler_id = n.placer_id)"
    )
    connection.execute(f"insert into {_TABLE} select * from new_number")
    _rename(connection, arrived, _TABLE)
    _rename(connection, "warehouse.parts.appointment", "new_number")
    # The row of the placer's number is there under that number, or under the one that its issuer gives it.
    held = (
        "select tenant_id, source_system, placer_id as held_id from new_number union "
        f"select r.tenant_id, r.source_system, r.issued_key from {_ISSUED_KEY} r join new_number n "
        f"on {_FEED} and r.identifier = n.placer_id and r.entity = 'appointment'"
    )
    for table, number in (("raw.appointment", "appointment_id"), ("parts.waiting", "record_key")):
        entity = "and r.entity = 'appointment'" if table == "parts.waiting" else ""
        connection.execute(
            f"delete from warehouse.{table} r using ({held}) n where {_FEED} and r.{number} = n.held_id {entity}"
        )
    connection.execute(
        f"delete from {_ISSUED_KEY} r using new_number n where {_FEED} and r.identifier = n.placer_id "
        "and r.entity = 'appointment'"
    )
    connection.execute("commit")
    connection.execute("drop table new_number")


def rename_events(connection: duckdb.DuckDBPyConnection) -> None:
    """Gives the history of the status the filler's numbers."""
    _rename(connection, "warehouse.raw.appointment_event", _TABLE)


def rename_landed(connection: duckdb.DuckDBPyConnection, landed: str) -> None:
    """Gives a table of landed rows of appointments (tenant_id, source_system, appointment_id) the numbers that the raw table has."""
    _rename(connection, landed, _TABLE)


def _rename(connection: duckdb.DuckDBPyConnection, rows: str, numbers: str) -> None:
    connection.execute(
        f"update {rows} as r set appointment_id = n.filler_id from {numbers} n where {_FEED} and r.appointment_id = n.placer_id"
    )
