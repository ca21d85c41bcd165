"""Answers as JSON, CSV or Arrow: one frame, three forms."""

import io
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Literal

import polars as pl
from fastapi import Request
from fastapi.responses import Response

from dashboards.api.models import Column, Page, Stand
from serving.reader import Reader
from serving.rows.export import rows_file

JSON, CSV, ARROW = "application/json", "text/csv", "application/vnd.apache.arrow.stream"
Kind = Literal["text", "whole", "decimal", "fraction", "day", "time", "flag"]
# Said of an operation that answers in each of the three forms.
FORMS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The answer. `Accept: text/csv` and `Accept: application/vnd.apache.arrow.stream` give other forms.",
        "content": {CSV: {"schema": {"type": "string"}}, ARROW: {"schema": {"type": "string", "format": "binary"}}},
    }
}


def stand_of(reader: Reader) -> Stand:
    """Which data the answers of a reader rest on."""
    return Stand(
        tenant=reader.tenant.tenant_id,
        version=reader.version.version,
        published_at=reader.published_at,
        data_as_of=reader.data_as_of,
    )


def page_of(total_rows: int, offset: int, shown: int) -> Page:
    """Which part of `total_rows` begins at `offset` and has `shown` rows."""
    end = offset + shown
    return Page(total_rows=total_rows, offset=offset, next_offset=end if shown and end < total_rows else None)


def columns_of(frame: pl.DataFrame) -> list[Column]:
    """The columns of a frame with what they hold."""
    return [Column(name=name, kind=_kind(dtype)) for name, dtype in frame.schema.items()]


def _kind(dtype: pl.DataType) -> Kind:
    if dtype == pl.Boolean:
        return "flag"
    if dtype.is_integer():
        return "whole"
    if dtype.is_float():
        return "fraction"
    if dtype.is_decimal():
        return "decimal"
    if dtype == pl.Date:
        return "day"
    return "time" if dtype == pl.Datetime else "text"


def cell(value: Any) -> Any:
    """A value as JSON has it: decimals and ids as text, times in UTC."""
    if isinstance(value, datetime):
        aware = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return aware.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def rows_of(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """The rows of a frame, a mapping each."""
    return [{name: cell(value) for name, value in row.items()} for row in frame.iter_rows(named=True)]


def other_form(request: Request, frame: pl.DataFrame, page: Page) -> Response | None:
    """The answer as CSV or Arrow where the request asks for that and not for JSON; the parts are said in headers."""
    accepted = request.headers.get("accept", "")
    headers = {"clinicmart-total-rows": str(page.total_rows)}
    if page.next_offset is not None:
        headers["clinicmart-next-offset"] = str(page.next_offset)
    if CSV in accepted:
        return Response(rows_file(frame, "csv").content, media_type=CSV, headers=headers)
    if ARROW in accepted:
        target = io.BytesIO()
        frame.write_ipc_stream(target)
        return Response(target.getvalue(), media_type=ARROW, headers=headers)
    return None
