"""De-identification: what a column becomes in a scope with little or no identity, and in rows that leave it.

The YAML of a model decides about a column. If it does not name the column, the column's name decides: a text identifier that is not
known to be of an organisation counts as one of a person, and a text that is not in WORDS is left out. So a column that somebody
forgets to mark is hidden, not shown. The surrogate of an identifier is a keyed hash (SHA-256, key of the tenant and the scope): equal
values stay equal, so that tables still join and people are still counted, but two scopes cannot be matched with each other.

Under Safe Harbor (45 CFR 164.514(b)(2)) rows that leave, by a drill or in an extract, have no date finer than the year. The scope's
file keeps days, for figures by month; these are shown for enough people only (`serving.metrics.small_cells`).
"""

import hashlib
from collections.abc import Collection
from datetime import date

from foundation import duck
from foundation.deidentification import SAFE_HARBOR
from serving.metrics.registry import PublishedTable, TableColumn
from serving.people.rights import REFERRAL_COLUMNS

# Identifiers of the organisation: of units, staff, payers, codes and runs.
ORGANISATION = frozenset(
    {
        *("tenant", "source_system", "feed", "batch", "run"),
        *("service_unit", "parent_service_unit", "business_unit", "program", "service_line", "clinic", "ward"),
        *("provider", "rendering_provider", "billing_provider", "referring_provider"),
        *(
            "payer",
            "electronic_payer",
            "billed_payer",
            "payer_class",
            "visit_type",
            "contract_rate",
            "procedure_code",
            "denial_category",
            "carc",
            "rarc",
        ),
    }
)
_SUFFIXES = ("_id", "_key", "_number", "_token")
_RECORD = frozenset({"source_record_id"})
# Texts without a mark that name no person: classes, codes of code sets, names of the organisation.
WORDS = frozenset(
    {
        *("account_code", "account_name", "adjustment_kind", "admission_source", "ageing_bucket", "answered_by"),
        *("ageing_bucket_by_first_bill", "ageing_bucket_by_last_activity", "ageing_bucket_by_posting"),
        *(
            "ageing_bucket_by_transfer",
            "billing_profile",
            "business_unit_name",
            "cancel_initiator",
            "cancel_reason_code",
        ),
        *("carc", "claim_origin", "claim_status_code", "claim_type", "clinic_name", "denial_category"),
        *(
            "discharge_disposition",
            "encounter_class",
            "entry_type",
            "filing_indicator",
            "frequency_code",
            "furthest_stage",
        ),
        *(
            "group_code",
            "item_code",
            "item_name",
            "language",
            "lead_time_band",
            "line_kind",
            "match_method",
            "modifiers",
        ),
        *("npi", "outcome", "outcome_code", "paid_by", "payee_npi", "payer_class", "payer_sequence", "payment_method"),
        *("place_of_service", "posting_type", "prior_no_show_band", "procedure_code", "program_name", "provider_npi"),
        *(
            "provider_type",
            "reason_code",
            "reject_code",
            "rejected_by",
            "remark_codes",
            "reminder_channel",
            "reminder_notice_band",
        ),
        *("responsibility", "revenue_code", "reversal_match_method", "service_line_name", "sex", "source_system"),
        *("specialty", "staff_role", "status", "takeback_kind", "unit_type", "ward_name"),
    }
)
# Days and moments without a mark: of visits, money and the calendar. A day of birth or death is none of them.
MOMENTS = frozenset(
    {
        *("adjudicated_date", "admit_decided_at", "answer_date", "answered_date", "appointment_date", "bed_date"),
        *("booked_at", "booked_date", "checked_in_at", "checked_out_at", "counted_in_month_1", "counted_in_month_2"),
        *("counted_in_month_3", "data_as_of_date", "date_day", "decision_date", "discharge_date", "encounter_date"),
        *("ended_at", "entered_date", "entry_date", "expiry_date", "first_booked_date", "first_payer_paid_date"),
        *("first_submitted_date", "first_visit_date", "fiscal_period_date", "from_at", "left_emergency_at"),
        *("local_discharged_at", "local_ended_at", "local_start_at", "local_started_at", "mix_date", "month_end_date"),
        *("month_start_date", "ordered_date", "payment_date", "posted_date", "posting_date", "provider_in_at"),
        *("provider_out_at", "quarter_start_date", "requested_date", "room_out_at", "roomed_at", "scheduled_end_at"),
        *("scheduled_start_at", "service_date", "session_date", "signed_at", "slot_date", "snapshot_date"),
        *("staffing_date", "start_at", "started_at", "submitted_date", "third_slot_date", "to_at", "used_date"),
        *("valid_from", "valid_to", "week_start_date", "year_start_date"),
    }
)
# Numbers without a mark: what their names measure, and names of counts.
_MEASURED = (
    "_amount",
    "_balance",
    "_minutes",
    "_hours",
    "_days",
    "_midnights",
    "_percent",
    "_rate",
    "_rvus",
    "_units",
    "_slots",
)
COUNTS = frozenset(
    {
        *(
            "bed_census",
            "checked_days_before",
            "claim_payments",
            "counted_sixths_1",
            "counted_sixths_2",
            "counted_sixths_3",
            "covered_visits",
        ),
        *("day_of_month", "days_after_service", "days_ahead", "days_of_12_months", "days_of_3_months"),
        *(
            "days_of_6_months",
            "days_to_readmission",
            "decision_number",
            "submission_number",
            "ward_number",
            "depth",
            "encounters",
            "expected_timestamps",
            "feeds",
        ),
        *("half_day_sessions", "hour_of_day", "iso_weekday", "line_number", "modifier_factor", "month"),
        *("order_violations", "quantity", "quarter", "recorded_timestamps", "reminders", "remittance_claims"),
        *("ruleset_version", "slots", "sort_order", "staffed_beds", "submissions"),
        *("third_next_available_days_with_held", "third_next_available_weekdays", "units", "visits", "weekday"),
        *("work_rvus_per_unit", "year"),
    }
)
_FLAGS = ("is_", "has_", "counts_as_", "leaves_")
_NUMBER_TYPES = ("INT", "BIGINT", "SMALLINT", "HUGEINT", "DECIMAL", "NUMERIC", "DOUBLE", "REAL", "FLOAT")
# Of tables that hold no patient: names of units, payers and staff, and their places in the tree.
_NAMES = frozenset({"name", "path", "time_zone", "display_name"})
# Parts of a date that are finer than the year, in columns that are no dates.
_DATE_PARTS = frozenset(
    {"month", "quarter", "week", "weekday", "iso_weekday", "day_of_month", "hour_of_day", "is_weekend", "is_midnight"}
)
# File names and positions can name a person (a feed's file may be called after its patient).
_REMOVED = frozenset({"source_position", "unit", "file_name"})
OLDEST = 90
SURROGATE_DIGITS = 32
# Stands for every value of a column of which only the presence is kept.
MARK = "one"
# ZIP areas of at most 20,000 people (45 CFR 164.514(b)(2)(i)(B), Census 2000 and 2010): shown as 000.
SMALL_AREAS = (
    *("036", "059", "063", "102", "203", "205", "369", "556", "692", "753", "772"),
    *("790", "821", "823", "830", "831", "878", "879", "884", "890", "893"),
)


def _is_level(stem: str) -> bool:
    return stem.startswith("level_") and stem.removeprefix("level_").isdigit()


def _is_word(name: str) -> bool:
    """Whether a text without a mark describes no person. Levels of the tree and present values count as their base column."""
    bare = name.removeprefix("current_")
    return bare in WORDS or _is_level(bare.removesuffix("_name")) or bare in {"path", "name"}


def _is_listed(column: TableColumn) -> bool:
    """Whether a day, number or flag without a mark is one of those that say nothing of a person."""
    name, kind = column.name.removeprefix("current_"), column.data_type.upper()
    if kind.startswith(("DATE", "TIMESTAMP")):
        return name in MOMENTS
    if kind.startswith("BOOL"):
        return name.startswith(_FLAGS)
    return kind.startswith(_NUMBER_TYPES) and (name in COUNTS or name.endswith(_MEASURED))


def holds_patients(table: PublishedTable) -> bool:
    """Whether a table has a column that names a patient."""
    return any(_names_patient(column) for column in table.columns)


def _names_patient(column: TableColumn) -> bool:
    return column.identity == "patient" or column.name in {"patient_id", "patient_key"}


def limited_treatment(column: TableColumn) -> str:
    """`treatment` for patients and their traits, and for columns that no model marks and no list names; everything else is kept."""
    if _names_patient(column):
        return "surrogate"
    is_unknown = column.name not in _REMOVED and treatment(column) == "remove"
    return treatment(column) if is_unknown or column.name in {"birth_year", "zip3", "age", "age_years"} else "keep"


def treatment(column: TableColumn) -> str:
    """keep, surrogate, remove, birth_year, age or zip3; `treated` also knows mark: whether there is a value, not which."""
    name = column.name
    if name in {"birth_year", "zip3"}:
        return name
    if name in {"age", "age_years"}:
        return "age"
    if name in _REMOVED:
        return "remove"
    if column.identity in {"patient", "account"} or name in _RECORD:
        return "surrogate"
    if column.identity == "none":
        return "keep"
    if not column.data_type.upper().startswith("VARCHAR"):
        return "keep" if column.identity == "quasi" or _is_listed(column) else "remove"
    stem = next((name.removesuffix(suffix) for suffix in _SUFFIXES if name.endswith(suffix)), None)
    if stem is None:
        return "keep" if _is_word(name) or name in _NAMES else "remove"
    stem = stem.removeprefix("current_")
    return "keep" if stem in ORGANISATION or _is_level(stem) else "surrogate"


def surrogate(key_hex: str, value: str) -> str:
    """The surrogate of an identifier under the key of a scope, as `expression` has it in SQL."""
    return hashlib.sha256(f"{key_hex}{value}".encode()).hexdigest()[:SURROGATE_DIGITS]


def expression(column: TableColumn, what: str, *, key_hex: str, as_of: date) -> str:
    """The column as an SQL expression after a treatment."""
    name = f'"{column.name}"'
    match what:
        case "surrogate":
            hashed = f"substr(sha256({duck.quoted(key_hex)} || cast({name} as varchar)), 1, {SURROGATE_DIGITS})"
            return f"case when {name} is null or {name} = 'unknown' then {name} else {hashed} end as {name}"
        case "mark":
            return f"case when {name} is null or {name} = 'unknown' then {name} else '{MARK}' end as {name}"
        case "remove":
            return f"cast(null as {column.data_type}) as {name}"
        case "birth_year":
            return f"cast(greatest({name}, {as_of.year - OLDEST}) as {column.data_type}) as {name}"
        case "age":
            return f"cast(least({name}, {OLDEST}) as {column.data_type}) as {name}"
        case "zip3":
            small = ", ".join(duck.quoted(area) for area in SMALL_AREAS)
            return f"case when {name} in ({small}) then '000' else {name} end as {name}"
    return name


def treated(
    table: PublishedTable,
    column: TableColumn,
    *,
    level: str,
    has_rows: bool,
    counted: Collection[str] = (),
    asked: Collection[str] = (),
) -> str:
    """The treatment of a column of a table at an identity level, by the rules of `treatment`.

    Without rows to show (`has_rows`) a fact keeps no identifier but those of patients, and those that figures need: of `counted` the
    distinct values are counted, by `asked` rows are told apart from those without it.
    """
    if level == "identified":
        return "keep"
    if level == "limited":
        return limited_treatment(column)
    if level == "minimum" and not table.is_dimension and column.name not in REFERRAL_COLUMNS.get(table.name, ()):
        return "remove"
    is_moment = column.data_type.upper().startswith("TIMESTAMP")
    is_name_of_somebody = column.name in _NAMES and not column.identity and holds_patients(table)
    if is_name_of_somebody or (is_moment and not has_rows):
        return "remove"
    what = treatment(column)
    if what != "surrogate" or has_rows or table.is_dimension or _names_patient(column) or column.name in counted:
        return what
    return "mark" if column.name in asked else "remove"


def shown_columns(table: PublishedTable, level: str) -> tuple[TableColumn, ...]:
    """The columns that rows show at an identity level: hidden ones are absent, not empty."""
    return tuple(
        column for column in table.columns if treated(table, column, level=level, has_rows=True) != "remove"
    )  # fmt: skip


def expressions(
    table: PublishedTable,
    *,
    level: str,
    has_rows: bool,
    key_hex: str,
    as_of: date,
    counted: Collection[str] = (),
    asked: Collection[str] = (),
) -> str:
    """The select list of a table at an identity level. Without rows to show (`has_rows`) no moment of a day is kept either, and of
    identifiers what `treated` says."""
    treatments = (
        (column, treated(table, column, level=level, has_rows=has_rows, counted=counted, asked=asked))
        for column in table.columns
    )
    return ", ".join(expression(column, what, key_hex=key_hex, as_of=as_of) for column, what in treatments)


def released(table: PublishedTable, name: str, rule: str) -> str:
    """A column of a scope's file as an SQL expression for rows that leave it under a rule of `foundation.deidentification`.

    Tables of the organisation (units, staff, payers, the calendar) have no dates of patients and stay as they are.
    """
    column = next((column for column in table.columns if column.name == name), None)
    if rule != SAFE_HARBOR or column is None or (table.is_dimension and not holds_patients(table)):
        return f'"{name}"'
    kind = column.data_type.upper()
    if name in _DATE_PARTS or (kind.startswith("TIME") and not kind.startswith("TIMESTAMP")):
        return f'cast(null as {column.data_type}) as "{name}"'
    if kind == "DATE" or kind.startswith("TIMESTAMP"):
        return f'cast(date_trunc(\'year\', "{name}") as {column.data_type}) as "{name}"'
    return f'"{name}"'
