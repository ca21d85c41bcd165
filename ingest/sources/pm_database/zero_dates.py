"""Zero dates, which a database writes for a missing date: they are left empty, and the other columns of the row are kept."""

import datetime as dt
from collections.abc import Iterator

import polars as pl

from data_contracts import Contract
from ingest.interface import Notice

# MySQL's zero date, which no calendar has.
_ZERO = r"^0000-00-00([ T]00:00(:00(\.0+)?)?)?$"
# The least or first days of the types of SQL Server (datetime, datetime2 and an empty text as a date) and of OLE (Access).
_FIRST_DAYS = (dt.date(1753, 1, 1), dt.date(1, 1, 1), dt.date(1900, 1, 1), dt.date(1899, 12, 30))


def without_zero_dates(
    entity_contract: Contract, frame: pl.DataFrame, zone: str, position: str
) -> tuple[pl.DataFrame, list[Notice]]:
    """The rows of an entity, optional dates and times that are a zero date left empty, and a notice for each such column.

    The first day of a database's type is taken for none in a column that another one must not be after: an end, not a start.
    `zone` is that of the timestamps, `position` where the rows begin.
    """
    ends = {rule.later for rule in entity_contract.order_rules}
    notices = []
    for column in entity_contract.reader_columns:
        if column.required or column.logical_type not in ("date", "timestamp") or column.name not in frame.columns:
            continue
        is_zero = pl.any_horizontal(*_is_zero(frame.schema[column.name], column.name, zone, is_end=column.name in ends))
        rows = int(frame.select(is_zero.fill_null(value=False).sum()).item())
        if rows:
            frame = frame.with_columns(pl.when(~is_zero.fill_null(value=False)).then(pl.col(column.name)))
            detail = f"{column.name} holds the zero date of the database, which means no date; it was left empty"
            notices.append(Notice(position=position, reason="zero_date", detail=detail, records=rows))
    return frame, notices


def _is_zero(kind: pl.DataType, name: str, zone: str, *, is_end: bool) -> Iterator[pl.Expr]:
    yield pl.lit(value=False)
    value = pl.col(name)
    if kind == pl.String():
        yield value.str.contains(_ZERO)
        if is_end:
            # A column with a value that is not a date is text: its times are in UTC, as `columns.timestamps` writes them.
            value = value.str.to_datetime("%+", time_unit="us", time_zone="UTC", strict=False)
            kind = pl.Datetime("us", "UTC")
    if is_end and isinstance(kind, pl.Datetime):
        local = value.dt.convert_time_zone(zone).dt.replace_time_zone(None)
        yield local.is_in([dt.datetime.combine(day, dt.time()) for day in _FIRST_DAYS])
    elif is_end and kind == pl.Date():
        yield value.is_in(list(_FIRST_DAYS))
