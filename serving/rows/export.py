"""Rows behind a figure as a file for a spreadsheet or for further work: CSV, XLSX or Parquet."""

import io
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import polars as pl
import xlsxwriter

from foundation.errors import ConfigurationError
from serving.model import Drill, RowsFile

# The most rows of one file. Who needs more takes an extract.
MOST_ROWS = 50_000
# A spreadsheet reads a text that begins so as a formula, also one that came from a feed (OWASP, CSV injection).
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
_WIDEST = 40


def plain_text(value: str) -> str:
    """A text that no spreadsheet takes for a formula: with an apostrophe before it, where it begins like one."""
    return f"'{value}" if value.startswith(_FORMULA_STARTS) else value


def _plain(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with its texts as `plain_text`, its headings too, and times in UTC without a zone."""
    texts = [
        pl.when(pl.col(name).str.contains(r"^[=+\-@\t\r\n]"))
        .then("'" + pl.col(name))
        .otherwise(pl.col(name))
        .alias(name)
        for name, kind in frame.schema.items()
        if kind == pl.String
    ]
    return frame.with_columns(texts).rename({name: plain_text(name) for name in frame.columns})


def _csv(frame: pl.DataFrame) -> bytes:
    return _plain(frame).write_csv().encode("utf-8")


def _parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def _xlsx(frame: pl.DataFrame) -> bytes:
    """One sheet, its first line frozen. Texts are written as texts and numbers as numbers; nothing becomes a formula or a link."""
    buffer = io.BytesIO()
    options = {
        "in_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
        "remove_timezone": True,
    }
    with xlsxwriter.Workbook(buffer, options) as book:
        sheet = book.add_worksheet("Rows")
        bold, day = book.add_format({"bold": True}), book.add_format({"num_format": "yyyy-mm-dd"})
        moment = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        plain = _plain(frame)
        for column, name in enumerate(plain.columns):
            sheet.write_string(0, column, name, bold)
            sheet.set_column(column, column, min(max(len(name) + 2, 10), _WIDEST))
        for line, row in enumerate(plain.iter_rows(), start=1):
            for column, value in enumerate(row):
                _write(sheet, line, column, value, day, moment)
        sheet.freeze_panes(1, 1)
        if plain.width:
            sheet.autofilter(0, 0, plain.height, plain.width - 1)
    return buffer.getvalue()


def _write(sheet: Any, line: int, column: int, value: object, day: Any, moment: Any) -> None:
    match value:
        case None:
            return
        case bool():
            sheet.write_boolean(line, column, value)
        case float() if not math.isfinite(value):
            # A sheet has no number for it.
            sheet.write_string(line, column, str(value))
        case int() | float() | Decimal():
            sheet.write_number(line, column, value)
        case datetime():
            sheet.write_datetime(line, column, value, moment)
        case date():
            sheet.write_datetime(line, column, value, day)
        case _:
            sheet.write_string(line, column, plain_text(str(value)))


_WRITERS: Mapping[str, tuple[Callable[[pl.DataFrame], bytes], str]] = MappingProxyType(
    {
        "csv": (_csv, "text/csv"),
        "xlsx": (_xlsx, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        "parquet": (_parquet, "application/vnd.apache.parquet"),
    }
)
FORMATS = tuple(_WRITERS)


def chosen_columns(drilled: Drill, columns: Sequence[str]) -> pl.DataFrame:
    """The rows of a file with the columns asked for. Raises ConfigurationError for an unknown column and for too many rows."""
    if drilled.listed_rows > MOST_ROWS:
        raise ConfigurationError(
            f"{drilled.listed_rows:,} rows are more than the {MOST_ROWS:,} of one file; narrow the figure, or take an extract"
        )
    unknown = [name for name in columns if name not in drilled.frame.columns]
    if unknown:
        raise ConfigurationError(f"these rows have no column {unknown[0]!r}")
    return drilled.frame.select(columns) if columns else drilled.frame


def rows_file(frame: pl.DataFrame, file_format: str) -> RowsFile:
    """A frame as a file in one of FORMATS; raises ConfigurationError for another format. In CSV and XLSX a text that a spreadsheet
    would take for a formula begins with an apostrophe."""
    if file_format not in _WRITERS:
        raise ConfigurationError(f"{file_format!r} is not one of {', '.join(FORMATS)}")
    write, mime = _WRITERS[file_format]
    return RowsFile(content=write(frame), rows=frame.height, mime=mime, extension=file_format)
