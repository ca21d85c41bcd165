"""From a published row to the source records it was made of: which entity, and which of its ids.

    found = row_sources(home, version, metrics, "fct_claims", "K0000003")
    found.records   (SourceRecord(entity="claim", column="claim_id", value="K0000003"), ...)

The row must be in the scope's file: that file is asked first, and a row that is not in it is as if it did not exist. De-identified
scopes are refused: the place of a record, its batch and its exact times lead back to the patient.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from foundation import duck
from foundation.errors import AccessError, ConfigurationError
from foundation.home import Home
from foundation.keys import Keys
from serving.metrics.answers import Metrics
from serving.metrics.registry import PublishedTable
from serving.model import Version
from serving.people.rights import TRACED_LEVELS
from serving.versions.store import files_of

POSITION = "source_position"
# The most source records one row leads to: beyond it the newest are opened.
MOST = 200


@dataclass(frozen=True, kw_only=True)
class Part:
    """Records of `entity` whose `column` is the row's `value_of`. `prefix`: only where the row's value begins so, and without it.
    `is_wider`: they may contain more than this row (a claim has all its lines), so that only unrestricted scopes are led to them."""

    entity: str
    column: str
    value_of: str
    prefix: str = ""
    is_wider: bool = False


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How a row of a table is named (`key`) and made. `through` are (published table, column): rows of it whose column is the row's
    key count too, with all that they are made of."""

    key: str
    parts: tuple[Part, ...]
    through: tuple[tuple[str, str], ...] = ()


def _by_key(entity: str, key: str, *more: Part, through: tuple[tuple[str, str], ...] = ()) -> Rule:
    return Rule(key=key, parts=(Part(entity=entity, column=key, value_of=key), *more), through=through)


def _same(entity: str, name: str, *, is_wider: bool = False) -> Part:
    return Part(entity=entity, column=name, value_of=name, is_wider=is_wider)


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "fct_appointments": _by_key(
            "appointment",
            "appointment_id",
            _same("appointment_event", "appointment_id"),
            _same("reminder", "appointment_id"),
        ),
        "fct_encounters": _by_key(
            "encounter", "encounter_id", _same("encounter_event", "encounter_id"), _same("bed_movement", "encounter_id")
        ),
        "fct_bed_days": Rule(
            key="encounter_id", parts=(_same("bed_movement", "encounter_id"), _same("encounter", "encounter_id"))
        ),
        "fct_slots": _by_key("slot", "slot_id"),
        "fct_staff_sessions": _by_key("staff_shift", "staff_shift_id"),
        "fct_charge_lines": Rule(
            key="charge_line_id",
            parts=(
                _same("charge", "charge_id"),
                _same("claim", "claim_id", is_wider=True),
                _same("claim_line", "claim_id", is_wider=True),
            ),
            through=(
                ("fct_remittance_lines", "charge_line_id"),
                ("fct_payments", "charge_line_id"),
                ("fct_postings", "charge_line_id"),
            ),
        ),
        # By number only where no other claim has it: a number does not name a claim.
        "fct_claims": Rule(
            key="claim_id",
            parts=(
                Part(entity="claim", column="claim_id", value_of="claim_number"),
                Part(entity="claim_line", column="claim_id", value_of="claim_number"),
            ),
            through=(
                ("fct_claim_submissions", "claim_id"),
                ("fct_remittance_claims", "claim_id"),
                ("fct_claim_answers", "claim_id"),
            ),
        ),
        "fct_claim_submissions": _by_key("claim", "claim_submission_id", _same("claim_line", "claim_submission_id")),
        "fct_claim_answers": Rule(
            key="answer_id",
            parts=(
                Part(entity="claim_status", column="source_record_id", value_of="source_record_id"),
                Part(entity="acknowledgement", column="source_record_id", value_of="source_record_id"),
            ),
        ),
        "fct_payments": Rule(
            key="payment_id",
            parts=(
                Part(entity="remittance_line", column="remittance_line_id", value_of="payment_id", prefix="line/"),
                Part(entity="remittance_claim", column="remittance_claim_id", value_of="payment_id", prefix="claim/"),
                Part(entity="patient_payment", column="patient_payment_id", value_of="payment_id", prefix="payment/"),
            ),
        ),
        "fct_postings": Rule(
            key="posting_id",
            parts=(
                Part(entity="charge", column="charge_id", value_of="posting_id", prefix="billed/charge/"),
                Part(entity="adjustment", column="adjustment_id", value_of="posting_id", prefix="adjustment/"),
                Part(entity="remittance_line", column="remittance_line_id", value_of="posting_id", prefix="line/"),
                Part(entity="remittance_claim", column="remittance_claim_id", value_of="posting_id", prefix="claim/"),
            ),
        ),
        "fct_ledger_entries": _by_key("ledger_entry", "ledger_entry_id"),
        "fct_diagnoses": _by_key("diagnosis", "diagnosis_id"),
        "fct_eligibility_answers": _by_key(
            "eligibility_answer", "eligibility_answer_id", _same("eligibility_benefit", "eligibility_answer_id")
        ),
        "fct_authorizations": _by_key("authorization", "authorization_id"),
        "fct_referrals": _by_key("referral", "referral_id", through=(("fct_appointments", "referral_id"),)),
        "fct_supply_usage": _by_key("inventory_usage", "inventory_usage_id"),
        "fct_remittances": _by_key("remittance", "remittance_id"),
        "fct_remittance_claims": _by_key("remittance_claim", "remittance_claim_id"),
        "fct_remittance_lines": _by_key("remittance_line", "remittance_line_id"),
        "fct_remittance_adjustments": _by_key("remittance_adjustment", "remittance_adjustment_id"),
        "fct_provider_adjustments": _by_key("provider_adjustment", "provider_adjustment_id"),
        "fct_takebacks": Rule(
            key="takeback_id",
            parts=(
                Part(entity="remittance_claim", column="remittance_claim_id", value_of="takeback_id", prefix="claim/"),
                Part(
                    entity="provider_adjustment",
                    column="provider_adjustment_id",
                    value_of="takeback_id",
                    prefix="provider/",
                ),
            ),
        ),
    }
)


@dataclass(frozen=True, kw_only=True)
class SourceRecord:
    """Records of an entity by one of its columns; not for a reader's eyes: values are those of the base file."""

    entity: str
    column: str
    value: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class RowSources:
    """A row of the scope, and what it was made of. `position` and `feed` are of the record that the row itself names, where its table
    says so."""

    table: str
    key: str
    row: Mapping[str, Any] = field(repr=False)
    records: tuple[SourceRecord, ...]
    feed: str = ""
    position: str = field(default="", repr=False)


def row_sources(home: Home, version: Version, metrics: Metrics, table_name: str, value: str) -> RowSources:
    """The records that a row was made from. Raises AccessError for a scope without rows and for a row that is not in the scope (the
    message does not reveal whether it exists for others), ConfigurationError for a table whose rows are sums of others."""
    if not metrics.scope.row_tables_allowed:
        raise AccessError("your role sees figures, not rows")
    if metrics.scope.identity_level not in TRACED_LEVELS:
        raise AccessError("your role sees de-identified rows; the source of a row would identify its patient")
    rule, table = RULES.get(table_name), metrics.registry.table(table_name)
    if rule is None or table is None:
        raise ConfigurationError(
            f"rows of {table_name} are not read from one record; known are {', '.join(sorted(RULES))}"
        )
    row = _mine(metrics, table, rule.key, value)
    if row is None:
        raise AccessError(f"there is no such row of {table_name} among the data you may see")
    to_open = [(table, rule, value)]
    for name, column in rule.through:
        other, its_rule = metrics.registry.table(name), RULES[name]
        if other is not None:
            to_open += [
                (other, its_rule, key) for key in _keys(metrics, other, its_rule.key, column, str(row[rule.key]))
            ]
    records: dict[SourceRecord, None] = {}
    own: Mapping[str, Any] = {}
    with _Base(home, version, metrics) as base:
        for place, (table_of, its, key) in enumerate(to_open[:MOST]):
            for full in base.rows(table_of, its.key, key):
                own = full if place == 0 and not own else own
                records |= dict.fromkeys(_records(its, full, is_restricted=metrics.scope.is_restricted))
    return RowSources(
        table=table_name,
        key=rule.key,
        row=row,
        records=tuple(records),
        feed=str(own.get("source_system") or ""),
        position=str(own.get(POSITION) or ""),
    )


def _records(rule: Rule, row: Mapping[str, Any], *, is_restricted: bool) -> list[SourceRecord]:
    records = []
    for part in rule.parts:
        value = row.get(part.value_of)
        if value is None or not str(value).startswith(part.prefix) or (part.is_wider and is_restricted):
            continue
        records.append(SourceRecord(entity=part.entity, column=part.column, value=str(value).removeprefix(part.prefix)))
    return records


def _held(metrics: Metrics, table: PublishedTable) -> bool:
    held = metrics.data.frame(
        "select count(*) from duckdb_tables() where database_name = 'warehouse' and schema_name = $schema and table_name = $name",
        {"schema": table.schema, "name": table.name},
    )
    return bool(held.item())


def _mine(metrics: Metrics, table: PublishedTable, key: str, value: str) -> Mapping[str, Any] | None:
    """The row as the scope holds it."""
    if not _held(metrics, table):
        return None
    rows = metrics.data.frame(
        f'select * from warehouse."{table.schema}"."{table.name}" where "{key}" = $value limit 1', {"value": value}
    )
    return rows.row(0, named=True) if rows.height else None


def _keys(metrics: Metrics, table: PublishedTable, key: str, column: str, value: str) -> list[str]:
    """Keys of rows of another table that belong to the row, of those that the scope holds."""
    if not _held(metrics, table):
        return []
    rows = metrics.data.frame(
        f'select distinct "{key}" as key from warehouse."{table.schema}"."{table.name}" where "{column}" = $value '
        f"order by 1 limit {MOST}",
        {"value": value},
    )
    return [str(item) for item in rows["key"]]


class _Base:
    """The tenant's base file, where rows have their own ids; a context manager."""

    def __init__(self, home: Home, version: Version, metrics: Metrics) -> None:
        self._home, self._version, self._metrics = home, version, metrics

    def __enter__(self) -> "_Base":
        keys, scope = Keys.of(self._home), self._metrics.scope
        self._connection = duck.connect(self._home)
        try:
            path = files_of(self._home, scope.tenant_id, self._version.version).base
            key = keys.derive_all_hex("published", scope.tenant_id)
            duck.attach(self._connection, path, alias="base", key=key, read_only=True)
        except BaseException:
            self._connection.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def rows(self, table: PublishedTable, key: str, value: str) -> list[dict[str, Any]]:
        """Rows whose key is a value."""
        rows = self._connection.execute(
            f'select * from base."{table.schema}"."{table.name}" where tenant_id = $tenant and "{key}" = $value',
            {"tenant": self._metrics.scope.tenant_id, "value": value},
        ).pl()
        return rows.to_dicts()
