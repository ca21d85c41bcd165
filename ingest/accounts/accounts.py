"""The ledger's accounts as frames: what the raw schema holds of the feeds beside their rows, for Data health and `status`.

feed_status        latest outcome of each feed, with totals over all its runs
batch              rows read = landed + quarantined
refused_unit       files and tables that each feed's latest run refused; files by a mark, never by name
quarantine_reason  rows held, by reason
contract_result    rows checked and broken, by rule
notice_reason      what readers found odd but could read, by reason
unknown_word       words of coded fields that no profile knows, by field and word
feed_coverage      rows expected and received by feed and day; feed_alert what stopped; feed_rhythm what was learned
"""

import hashlib
import hmac
from collections.abc import Sequence
from datetime import timedelta
from pathlib import PurePath
from typing import Any

import polars as pl
import sqlalchemy as sa

from foundation.keys import Keys
from ingest import ledger as tables
from ingest.accounts.feed_coverage import coverage
from ingest.interface import NOT_READ
from ingest.ledger import Ledger, now
from ingest.problems import problem_code
from ingest.profiles import word_field

# The endings that readers know. Any other part of a file's name may name a patient.
_ENDINGS = (
    *(".json", ".ndjson", ".csv", ".tsv", ".txt", ".dat", ".gz"),
    *(".hl7", ".hl7v2", ".adt", ".siu", ".dft", ".msg"),
    *(".x12", ".edi", ".837", ".837p", ".837i", ".835", ".era", ".rmt", ".277", ".277ca", ".271", ".999", ".997"),
)
DETAILS_KEPT = 20
UNKNOWN_WORD: dict[str, pl.DataType | type[pl.DataType]] = {
    "tenant_id": pl.String,
    "feed": pl.String,
    "entity": pl.String,
    "column_name": pl.String,
    "field": pl.String,
    "word": pl.String,
    "became": pl.String,
    "rows": pl.Int64,
    "profile_key": pl.String,
    "first_position": pl.String,
    "last_seen_at": pl.Datetime("us"),
}


def file_mark(keys: Keys, tenant_id: str, name: str) -> str:
    """The mark that is shown in place of a file name to everybody but operators: `file 3f9c2a7b1c.835`. Names of files and
    folders hold patients' names in some systems, and a plain hash of a name can be guessed: this mark needs the tenant's key.
    The same file keeps its mark. `clinicmart status` on the server shows the file of each mark.
    """
    digest = hmac.new(keys.derive("token", tenant_id), f"file {name}".encode(), hashlib.sha256).hexdigest()[:10]
    endings = [suffix.lower() for suffix in PurePath(name).suffixes[-2:] if suffix.lower() in _ENDINGS]
    return f"file {digest}{''.join(endings)}"


def marks_of_units(ledger: Ledger, keys: Keys, tenant_id: str, unit_ids: Sequence[int]) -> dict[int, str]:
    """Unit of a tenant to the text shown for it: the mark of a file, the name of a table."""
    unit = tables.unit.c
    query = sa.select(unit.unit_id, unit.name, unit.fingerprint).where(
        unit.tenant_id == tenant_id, unit.unit_id.in_(list(unit_ids))
    )
    return {
        row["unit_id"]: file_mark(keys, tenant_id, row["name"]) if row["fingerprint"] else row["name"]
        for row in ledger.rows(query)
    }


def ledger_accounts(ledger: Ledger, keys: Keys) -> dict[str, pl.DataFrame]:
    """Every account by the name of its raw table."""
    feeds = coverage(ledger)
    return {
        "feed_status": feed_status(ledger),
        "batch": select(ledger, sa.select(tables.batch)),
        "refused_unit": _marked(refused_units(ledger), keys),
        "quarantine_reason": _quarantine_reasons(ledger),
        "contract_result": _contract_results(ledger),
        "notice_reason": notice_reasons(ledger),
        "unknown_word": unknown_words(ledger),
        "feed_coverage": feeds.days,
        "feed_alert": feeds.alerts,
        "feed_rhythm": feeds.rhythms,
    }


def _marked(units: pl.DataFrame, keys: Keys) -> pl.DataFrame:
    """Refused units with marks in place of the names of files, and with the `code` of the problem; tables keep their names."""
    shown = [
        file_mark(keys, row["tenant_id"], row["unit"]) if row["is_file"] else row["unit"]
        for row in units.iter_rows(named=True)
    ]
    codes = [problem_code(reason) or problem_code("file_refused") for reason in units["reason"]]
    return units.with_columns(
        pl.Series("unit", shown, dtype=pl.String), pl.Series("code", codes, dtype=pl.String)
    ).drop("is_file")


def select(ledger: Ledger, query: sa.Select[Any]) -> pl.DataFrame:
    """A query's rows with column types taken from the ledger's tables, so that an empty result has them too."""
    types = {sa.String: pl.String(), sa.Integer: pl.Int64(), sa.DateTime: pl.Datetime("us")}
    schema = {
        column.name: next((kind for sql, kind in types.items() if isinstance(column.type, sql)), pl.Int64())
        for column in query.selected_columns
    }
    return pl.DataFrame(ledger.rows(query), schema=schema, orient="row")


def feed_status(ledger: Ledger) -> pl.DataFrame:
    """Latest outcome per feed, with totals over all its runs; refused units are those of the latest run.

    `newest_record_at` (UTC) is the latest time that a source gave a record, without times of files and times to come.
    """
    feed_run, unit, batch = tables.feed_run, tables.unit, tables.batch
    # A mistyped year must not make a feed look fresh for ever.
    latest_plausible = now() + timedelta(days=1)
    latest = (
        sa.select(
            feed_run,
            sa.func.row_number()
            .over(partition_by=(feed_run.c.tenant_id, feed_run.c.feed), order_by=feed_run.c.read_at.desc())
            .label("place"),
        )
    ).subquery()
    units = (
        sa.select(
            unit.c.tenant_id,
            unit.c.feed,
            sa.func.sum(sa.case(((unit.c.outcome == "landed") & (unit.c.name != NOT_READ), 1), else_=0)).label(
                "units_read"
            ),
            sa.func.sum(unit.c.records_read).label("records_read"),
            sa.func.sum(unit.c.records_used).label("records_landed"),
            sa.func.sum(unit.c.records_refused).label("records_quarantined"),
        )
        .where(unit.c.outcome != "replaced")
        .group_by(unit.c.tenant_id, unit.c.feed)
    ).subquery()
    refused = (
        sa.select(unit.c.run_id, unit.c.tenant_id, unit.c.feed, sa.func.count().label("units_refused"))
        .where(unit.c.outcome == "refused")
        .group_by(unit.c.run_id, unit.c.tenant_id, unit.c.feed)
    ).subquery()
    rows = (
        sa.select(
            batch.c.tenant_id,
            batch.c.feed,
            sa.func.sum(batch.c.rows_landed).label("rows_landed"),
            sa.func.sum(batch.c.rows_quarantined).label("rows_quarantined"),
            sa.func.max(sa.case((batch.c.newest_record_at <= latest_plausible, batch.c.newest_record_at))).label(
                "newest_record_at"
            ),
        ).group_by(batch.c.tenant_id, batch.c.feed)
    ).subquery()

    def number(column: sa.ColumnElement[Any], name: str) -> sa.Label[Any]:
        return sa.func.coalesce(column, 0, type_=sa.Integer).label(name)

    def of_feed(other: Any) -> sa.ColumnElement[bool]:
        return sa.and_(other.c.tenant_id == latest.c.tenant_id, other.c.feed == latest.c.feed)

    query = (
        sa.select(
            latest.c.tenant_id,
            latest.c.feed,
            latest.c.kind,
            latest.c.profile,
            latest.c.read_at.label("last_read_at"),
            sa.func.coalesce(latest.c.judged_at, latest.c.read_at, type_=sa.DateTime).label("judged_at"),
            latest.c.outcome,
            number(units.c.units_read, "units_read"),
            number(refused.c.units_refused, "units_refused"),
            number(units.c.records_read, "records_read"),
            number(units.c.records_landed, "records_landed"),
            number(units.c.records_quarantined, "records_quarantined"),
            number(rows.c.rows_landed, "rows_landed"),
            number(rows.c.rows_quarantined, "rows_quarantined"),
            rows.c.newest_record_at,
            latest.c.problem,
        )
        .select_from(
            latest.outerjoin(units, of_feed(units))
            .outerjoin(refused, of_feed(refused) & (refused.c.run_id == latest.c.run_id))
            .outerjoin(rows, of_feed(rows))
        )
        .where(latest.c.place == 1)
    )
    return select(ledger, query)


def refused_units(ledger: Ledger) -> pl.DataFrame:
    """Units that their feed's latest run refused, by name: for operators alone. `is_file` is 0 for tables."""
    unit, feed_run = tables.unit, tables.feed_run
    latest = (
        sa.select(feed_run.c.tenant_id, feed_run.c.feed, sa.func.max(feed_run.c.read_at).label("read_at"))
        .group_by(feed_run.c.tenant_id, feed_run.c.feed)
        .subquery()
    )
    query = (
        sa.select(
            unit.c.tenant_id,
            unit.c.feed,
            unit.c.name.label("unit"),
            sa.case((unit.c.fingerprint.is_(None), 0), else_=1).label("is_file"),
            unit.c.position,
            unit.c.reason,
            unit.c.problem,
            unit.c.remedy,
            unit.c.run_id,
            unit.c.read_at.label("refused_at"),
        )
        .join(
            feed_run,
            (feed_run.c.run_id == unit.c.run_id)
            & (feed_run.c.tenant_id == unit.c.tenant_id)
            & (feed_run.c.feed == unit.c.feed),
        )
        .join(
            latest,
            (latest.c.tenant_id == unit.c.tenant_id)
            & (latest.c.feed == unit.c.feed)
            & (latest.c.read_at == feed_run.c.read_at),
        )
        .where(unit.c.outcome == "refused")
        .order_by(unit.c.unit_id)
    )
    return select(ledger, query)


def _quarantine_reasons(ledger: Ledger) -> pl.DataFrame:
    held = tables.held.c
    key = (held.tenant_id, held.feed, held.entity, held.reason, held.column_name)
    query = (
        sa.select(
            *key,
            sa.func.sum(held.rows).label("rows"),
            sa.func.min(held.first_position).label("first_position"),
            sa.func.max(held.held_at).label("last_seen_at"),
        )
        .where(held.released_at.is_(None))
        .group_by(*key)
    )
    # The ledger keeps money as decimal text, which a database would add up as floating-point numbers.
    amounts = select(ledger, sa.select(*key, held.amount).where(held.released_at.is_(None), held.amount.is_not(None)))
    names = [column.name for column in key]
    sums = amounts.with_columns(pl.col("amount").cast(pl.Decimal(18, 4))).group_by(names).agg(pl.col("amount").sum())
    return select(ledger, query).join(sums, on=names, how="left", maintain_order="left")


def _contract_results(ledger: Ledger) -> pl.DataFrame:
    result, batch = tables.result.c, tables.batch.c
    query = (
        sa.select(
            batch.tenant_id,
            batch.feed,
            result.entity,
            result.rule,
            result.column_name,
            sa.func.sum(result.rows).label("rows"),
            sa.func.sum(result.unexpected).label("unexpected"),
        )
        .join(tables.batch, (batch.batch_id == result.batch_id) & (batch.entity == result.entity))
        .group_by(batch.tenant_id, batch.feed, result.entity, result.rule, result.column_name)
    )
    return select(ledger, query)


def notice_reasons(ledger: Ledger) -> pl.DataFrame:
    """Notices by tenant, feed, reason and detail: `rows` counts the records they stand for.

    There may be many details, because they name a claim or a segment: the most frequent ones of a reason are kept, the others
    are counted together.
    """
    notice, unit = tables.notice.c, tables.unit.c
    key = (unit.tenant_id, unit.feed, notice.reason, notice.detail)
    query = (
        sa.select(
            *key,
            sa.func.sum(notice.records).label("rows"),
            sa.func.min(sa.func.printf("unit %d: %s", notice.unit_id, notice.position, type_=sa.String)).label(
                "first_position"
            ),
            sa.func.max(unit.read_at).label("last_seen_at"),
        )
        .join(tables.unit, unit.unit_id == notice.unit_id)
        .where(unit.outcome != "replaced")
        .group_by(*key)
    )
    names = ["tenant_id", "feed", "reason"]
    reasons = select(ledger, query).sort(*names, "rows", "detail", descending=[False, False, False, True, False])
    is_kept = pl.int_range(pl.len()).over(names) < DETAILS_KEPT
    detail = pl.when(is_kept).then("detail").otherwise(pl.lit("others")).alias("detail")
    return (
        reasons.with_columns(detail)
        .group_by(*names, "detail", maintain_order=True)
        .agg(pl.col("rows").sum(), pl.col("first_position").min(), pl.col("last_seen_at").max())
    )


def unknown_words(ledger: Ledger) -> pl.DataFrame:
    """Unknown words by tenant, feed, entity, column and word: `field` is the feed's own name of the field ("SCH-25"),
    `profile_key` the list of a profile that can teach the word, empty where none can, `became` the value that rows have instead.

    `rows` counts the rows of the reads that stand: a file that was read again under another profile counts once.
    """
    word, unit = tables.unknown_word.c, tables.unit.c
    key = (word.tenant_id, word.feed, word.entity, word.column_name, word.word)
    query = (
        sa.select(
            *key,
            sa.func.max(word.became).label("became"),
            sa.func.sum(word.rows).label("rows"),
            sa.func.min(sa.func.printf("unit %d: %s", word.unit_id, word.first_position, type_=sa.String)).label(
                "first_position"
            ),
            sa.func.max(unit.read_at).label("last_seen_at"),
        )
        .join(tables.unit, unit.unit_id == word.unit_id)
        .where(unit.outcome != "replaced")
        .group_by(*key)
    )
    kind_of = ledger.kinds_of_feeds()
    rows = [row | _field(kind_of.get((row["tenant_id"], row["feed"]), ""), row) for row in ledger.rows(query)]
    return pl.DataFrame(rows, schema=UNKNOWN_WORD, orient="row").sort(
        "tenant_id", "feed", "rows", descending=[False, False, True]
    )


def _field(kind: str, row: dict[str, Any]) -> dict[str, str]:
    field = word_field(kind, row["entity"], row["column_name"])
    return {"field": field.name, "profile_key": field.profile_key}
