"""An extract as a ZIP for tools that read Parquet: the tables, the dictionary as CSV, SQL that makes the views, example queries.

README.md                what is inside and how to open it
marts/<table>.parquet    the tables
dictionary/<name>.csv    tables, columns, keys, metrics, deidentification, queries
views.sql, queries.sql   for DuckDB in the unpacked folder: the tables and metrics as views; example queries
"""

import zipfile
from pathlib import Path
from typing import BinaryIO

import duckdb

from serving.extracts.content import TARGET, Content
from serving.model import Version

_README = """\
# Extract of Clinicmart

Version {version}, data to {as_of}. Rule of de-identification: {rule}.

**These files are not encrypted.** Keep them where such rows may lie, and delete them when you do not need them.

- `marts/` has one Parquet file for each table. `dictionary/columns.csv` explains each column, `dictionary/keys.csv` says how tables are
  joined, `dictionary/metrics.csv` defines each metric and has its SQL.
- polars: `polars.read_parquet("marts/dim_service_units.parquet")`; pandas, R (arrow), Spark and Power BI read Parquet as well.
- DuckDB: unpack the ZIP, go into the folder, run `duckdb -init views.sql`. Then `metrics` has a view for each metric:
  `select * from metrics.{metric}`. More is in `queries.sql`.
"""


def write_zip(connection: duckdb.DuckDBPyConnection, content: Content, version: Version, file: Path | BinaryIO) -> None:
    """Writes the content of TARGET as a ZIP into a file."""
    metric = next(iter(content.views), "NAME")
    readme = _README.format(
        version=version.version,
        as_of=version.data_as_of or "an unknown day",
        rule=content.anonymity.rule,
        metric=metric,
    )
    with zipfile.ZipFile(file, "w", compression=zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("README.md", readme)
        archive.writestr("views.sql", _views(content))
        queries = [f"-- {title}\n{sql};\n" for title, sql in content.dictionary["queries"].iter_rows()]
        archive.writestr("queries.sql", "\n".join(queries))
        for name, frame in content.dictionary.items():
            archive.writestr(f"dictionary/{name}.csv", frame.write_csv())
        for table in content.counts:
            frame = connection.execute(f'from {TARGET}.marts."{table}"').pl()
            # Parquet is compressed already.
            entry = zipfile.ZipInfo(f"marts/{table}.parquet")
            with archive.open(entry, "w", force_zip64=True) as part:
                frame.write_parquet(part)


def _views(content: Content) -> str:
    """SQL that makes schemas like those of the DuckDB file, over the files of the unpacked folder."""
    lines = [f"create schema if not exists {schema};" for schema in ("marts", "dictionary", "metrics")]
    lines += [
        f"create or replace view marts.\"{name}\" as from read_parquet('marts/{name}.parquet');"
        for name in content.counts
    ]
    lines += [
        f"create or replace view dictionary.\"{name}\" as from read_csv('dictionary/{name}.csv', header = true);"
        for name in content.dictionary
    ]
    lines += [f'create or replace view metrics."{name}" as {sql};' for name, sql in content.views.items()]
    return "\n".join(lines) + "\n"
