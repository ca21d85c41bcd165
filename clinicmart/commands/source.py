"""`clinicmart source`: from a row to its source message, opened in the original file under the rights of the reader."""

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from clinicmart.commands.metrics import open_for
from clinicmart.options import (
    existing_home,
    home_option,
    json_option,
    print_json,
    print_table,
    tenant_option,
    user_option,
)
from foundation.errors import AccessError, ConfigurationError
from foundation.home import Home

if TYPE_CHECKING:
    from ingest.trace.source_text import SourceText

# What a terminal would obey instead of showing.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
LONGEST_REASON = 300


@click.command()
@click.argument("table")
@click.argument("row")
@home_option
@tenant_option
@user_option
@click.option(
    "--record",
    type=click.IntRange(1),
    help="Number of the source record to open, from the list that is printed. Default: the record that the row names.",
)
@click.option(
    "--reason", help="Why you need the message unmasked. It is kept in the audit log, so name no patient in it."
)
@json_option
@existing_home
def source(
    home: Home, table: str, row: str, tenant: str, user: str, record: int | None, reason: str | None, as_json: bool
) -> None:
    """Open the source message of one row of TABLE. ROW is the id that `clinicmart drill` shows, such as K0000003 of fct_claims.

    Lists every source record of the row and opens one of them in the original file. Parts that identify a person are masked,
    except for an organization_admin who gives --reason. If the file is gone or was changed, the landed row is shown instead.
    Each use is recorded in the audit log.
    """
    from foundation.keys import Keys
    from ingest.ledger import Ledger

    if reason is not None and not 5 <= len(reason.strip()) <= LONGEST_REASON:
        raise ConfigurationError(f"--reason: write a sentence of 5 to {LONGEST_REASON} characters")
    with open_for(home, tenant, user) as reader:
        identified = _sees_identity(reader, reason)
        row_sources = reader.sources(table, row)
        keys, ledger = Keys.of(home), Ledger(home)
        try:
            records = _records(home, keys, ledger, tenant, row_sources)
            chosen = _chosen(records, record)
            text = None if chosen is None else _opened(home, keys, ledger, tenant, chosen)
            detail = {"table": table, "opened": text.position if text else None, "masked": not identified}
            patient = row_sources.row.get("patient_id")
            people: dict[str, object] = {} if patient is None else {"column": "patient_id", "people": [patient]}
            _note(home, reader, tenant, user, {**detail, **people, **({"reason": reason} if reason else {})})
            shown = [_shown_record(keys, ledger, number, item) for number, item in enumerate(records, start=1)]
        finally:
            ledger.close()
    opened = None if chosen is None or text is None else _shown(text, chosen, identified=identified)
    if as_json:
        print_json({"table": table, "row": row, "records": shown, "opened": opened})
        return
    _print(shown, opened, identified=identified, is_administrator=_may_open_messages(reader))


def _may_open_messages(reader: Any) -> bool:
    from serving.people.rights import ROLES

    return ROLES[reader.scope.role].opens_messages


def _sees_identity(reader: Any, reason: str | None) -> bool:
    """Whether the message is shown unmasked. Raises AccessError if a person without this right asks for it."""
    may = _may_open_messages(reader)
    if reason is not None and not may:
        raise AccessError(
            "only an organization_admin may see unmasked messages; leave out --reason to see the masked message"
        )
    return may and reason is not None


def _records(home: Home, keys: Any, ledger: Any, tenant: str, row_sources: Any) -> list[dict[str, Any]]:
    """Landed rows of every source record, each with its `entity`; the record that the row names first, then the newest."""
    from ingest.load.landed_rows import landed_rows

    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    wanted: dict[tuple[str, str], list[str]] = {}
    for item in row_sources.records:
        wanted.setdefault((item.entity, item.column), []).append(item.value)
    for (entity, column), values in wanted.items():
        for row in landed_rows(home, keys, ledger, tenant, entity, column, values):
            is_own = bool(row_sources.position) and (row["source_system"], row["source_position"]) == (
                row_sources.feed,
                row_sources.position,
            )
            rows[entity, row["batch_id"], row["source_position"]] = row | {"entity": entity, "is_own": is_own}
    # Stable: entities stay in the order of the rule, the newest first.
    return sorted(rows.values(), key=lambda row: not row["is_own"])


def _chosen(records: list[dict[str, Any]], number: int | None) -> dict[str, Any] | None:
    if number is not None and number > len(records):
        raise ConfigurationError(f"--record {number}: the row has {len(records)} source records")
    return records[(number or 1) - 1] if records else None


def _opened(home: Home, keys: Any, ledger: Any, tenant: str, record: Mapping[str, Any]) -> "SourceText":
    from foundation.config import load_config
    from foundation.kept_files import read_configuration_record
    from ingest.trace.source_text import open_position

    file = read_configuration_record(home.path).file
    if not file:
        raise ConfigurationError(f"{home.path}: nothing has run in this home; start with clinicmart run")
    return open_position(home, keys, ledger, load_config(file), tenant, record["source_position"])


def _note(home: Home, reader: Any, tenant: str, user: str, detail: Mapping[str, object]) -> None:
    from serving.people.store import AccessStore

    AccessStore.open(home).audit(tenant, user, "source opened", reader.scope.hash, detail=detail)


def _shown_record(keys: Any, ledger: Any, number: int, record: Mapping[str, Any]) -> dict[str, Any]:
    from ingest.trace.source_text import mark_of

    return {
        "number": number,
        "entity": record["entity"],
        "feed": record["source_system"],
        "batch": record["batch_id"],
        "landed_at": record["landed_at"],
        "file": mark_of(keys, ledger, record["tenant_id"], record["source_position"]),
        "position": record["source_position"],
    }


def _shown(text: "SourceText", record: Mapping[str, Any], *, identified: bool) -> dict[str, Any]:
    """The result of opening a position: the message, or the reason for its absence and the landed row."""
    from data_contracts import contract
    from ingest.trace.source_masks import masked, masked_row
    from ingest.trace.source_text import OPENED

    entity_contract = contract(record["entity"])
    row = {name: record.get(name) for name in entity_contract.column_names}
    seen = text if identified else masked(text)
    return {
        "position": text.position,
        "file": text.mark,
        "state": text.state,
        "explanation": text.explanation,
        "segments": list(seen.segments),
        "resource": seen.resource,
        "row": None if text.state == OPENED else row if identified else masked_row(entity_contract, row),
    }


def _print(
    records: list[dict[str, Any]], opened: dict[str, Any] | None, *, identified: bool, is_administrator: bool
) -> None:
    print_table(
        ["", "Entity", "Feed", "Batch", "Landed", "File or table", "Position"],
        [list(item.values()) for item in records],
    )
    if opened is None:
        click.echo(
            "No source record is kept for this row. Either the row is a sum of other rows, or its batches were removed."
        )
        return
    click.echo(f"{opened['file']}, {opened['position']}:")
    if opened["explanation"]:
        click.echo(opened["explanation"])
    if opened["segments"]:
        click.echo(_safe("\n".join(opened["segments"])))
    elif opened["resource"] is not None:
        click.echo(_safe(json.dumps(opened["resource"], indent=2, ensure_ascii=False)))
    for name, value in (opened["row"] or {}).items():
        click.echo(_safe(f"{name + ':':<32} {'-' if value is None else value}"))
    if not identified:
        more = " An organization_admin sees it as it is with --reason." if is_administrator else ""
        click.echo(f"Parts that could identify a person are masked.{more}")


def _safe(text: str) -> str:
    """A text without control characters that a terminal would obey."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
