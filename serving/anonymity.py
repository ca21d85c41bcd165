"""How well people hide in an extract: k-anonymity (Samarati and Sweeney, 1998) over what others could know of a patient.

Traits are birth year, sex, three digits of the ZIP code and the first day on which the extract has the patient.
"""

from collections.abc import Sequence

import duckdb

from serving.metrics.registry import PublishedTable
from serving.model import Anonymity

_TRAITS = ("birth_year", "sex", "zip3")


def measure(connection: duckdb.DuckDBPyConnection, tables: Sequence[PublishedTable], rule: str) -> Anonymity:
    """Measures the attached `target`, where `marts` holds the tables as they leave."""
    patients = next((table for table in tables if table.name == "dim_patients"), None)
    if patients is None:
        return Anonymity(rule=rule, quasi_identifiers=(), people=0, k=0, alone=0)
    traits = [name for name in _TRAITS if name in patients.column_names]
    days = [
        f'select patient_id, min(cast("{day}" as date)) as day from target.marts."{table.name}" group by 1'
        for table in tables
        if not table.is_dimension and "patient_id" in table.column_names and (day := _day_of(table))
    ]
    first = " union all ".join(days) or "select null as patient_id, null as day where false"
    columns = ", ".join([*traits, "first_day"])
    row = connection.execute(
        f"with first as (select patient_id, min(day) as first_day from ({first}) group by 1), "
        f"cells as (select {columns}, count(*) as people from target.marts.dim_patients "
        "join first using (patient_id) where patient_id <> 'unknown' group by all) "
        "select coalesce(sum(people), 0), coalesce(min(people), 0), count(*) filter (where people = 1) from cells"
    ).fetchone()
    people, k, alone = (int(value) for value in row or (0, 0, 0))
    return Anonymity(rule=rule, quasi_identifiers=(*traits, "first_day"), people=people, k=k, alone=alone)


def _day_of(table: PublishedTable) -> str:
    """The date by which the rows of a table lie ordered, else its first date; empty where it has none."""
    dates = [column.name for column in table.columns if column.data_type.upper() == "DATE"]
    return next((name for name in table.order_by if name in dates), dates[0] if dates else "")
