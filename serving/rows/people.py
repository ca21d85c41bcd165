"""Whose rows a page of rows shows, for the audit."""

import polars as pl

from serving.metrics.registry import PublishedTable

# An audit row names so many people; the rest of a page of rows is in further rows of the same act.
PEOPLE_A_ROW = 500


def people_in(frame: pl.DataFrame, table: PublishedTable | None) -> list[dict[str, object]]:
    """Whose rows a frame holds: details of audit rows, each with `column` and at most PEOPLE_A_ROW distinct `people`.

    They are patient tokens as the scope shows them (surrogates where it is de-identified), or numbers of accounts where the rows
    name no patient. Empty where the rows name nobody.
    """
    marks = {column.name: column.identity for column in table.columns} if table else {}
    patients = [name for name in frame.columns if marks.get(name) == "patient" or name == "patient_id"]
    columns = patients or [name for name in frame.columns if marks.get(name) == "account"]
    if not columns:
        return []
    people = sorted(frame[columns[0]].drop_nulls().cast(pl.String).unique().to_list())
    return [
        {"column": columns[0], "people": people[start : start + PEOPLE_A_ROW]}
        for start in range(0, len(people), PEOPLE_A_ROW)
    ]
