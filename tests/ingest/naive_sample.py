"""The sample read back with sqlite3, str.split and Decimal, and no code of the product: what the truths are held against."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from statistics import median
from zoneinfo import ZoneInfo

SIX = Decimal("0.000001")
# Beginnings of the names of files that count for nothing: broken ones, and those that tell again what came before.
NOT_COUNTED = ("corrupt", "truncated", "resent", "recut")
CONTRACTUAL = {("CO", "45"), ("CO", "253")}
NO_DENIAL = CONTRACTUAL | {("PR", "1"), ("PR", "2"), ("PR", "3"), ("OA", "23")}


def moment(text: str | None) -> datetime | None:
    """UTC text of the PM database."""
    return None if text is None else datetime.fromisoformat(text).replace(tzinfo=UTC)


@dataclass
class Line:
    """One SVC."""

    billed: Decimal
    paid: Decimal
    control: str = ""
    allowed: Decimal | None = None
    adjustments: list[tuple[str, str, Decimal]] = field(default_factory=list)


@dataclass
class Payment:
    """One CLP."""

    claim: str
    status: str
    billed: Decimal
    paid: Decimal
    patient: Decimal
    payer: str
    day: date
    lines: list[Line] = field(default_factory=list)
    adjustments: list[tuple[str, str, Decimal]] = field(default_factory=list)

    def spread(self) -> None:
        """Of a payment without lines: all of it is its claim's only line's. What is not taken off by contract was allowed, and nothing
        where nothing was paid and nothing left to the patient."""
        if not self.lines:
            by_reason = {(group, code): amount for group, code, amount in self.adjustments}
            is_refused = not self.paid and not any(group == "PR" for group, _ in by_reason)
            allowed = Decimal(0) if is_refused else self.billed - by_reason.get(("CO", "45"), Decimal(0))
            self.lines.append(Line(self.billed, self.paid, f"{self.claim}-1", allowed, self.adjustments))

    def allowed(self) -> Decimal:
        return sum((line.allowed or Decimal(0) for line in self.lines), Decimal(0))


@dataclass
class Transaction:
    """One ST to SE."""

    payer: str = ""
    day: date = date.min
    amount: Decimal = Decimal(0)
    declared: int = 0
    counted: int = 0
    payments: list[Payment] = field(default_factory=list)
    beside: list[tuple[str, Decimal]] = field(default_factory=list)


def as_day(text: str) -> date:
    return date(int(text[:4]), int(text[4:6]), int(text[6:8]))


def transactions(folder: Path, skip: tuple[str, ...]) -> Iterator[Transaction]:
    """Every transaction of the 835s of a folder but those of files whose name begins with one of `skip`."""
    for file in sorted(folder.glob("*.835")):
        if file.name.startswith(skip):
            continue
        current = Transaction()
        for segment in file.read_text().split("~"):
            parts = segment.split("*")
            current.counted += 1
            tag = parts[0]
            if tag == "ST":
                current = Transaction(counted=1)
            elif tag == "BPR":
                current.amount, current.day = Decimal(parts[2]), as_day(parts[16])
            elif tag == "N1" and parts[1] == "PR":
                current.payer = parts[4]
            elif tag == "CLP":
                money = [Decimal(text) for text in parts[3:6]]
                current.payments.append(Payment(parts[1], parts[2], *money, current.payer, current.day))
            elif tag == "SVC":
                current.payments[-1].lines.append(Line(Decimal(parts[2]), Decimal(parts[3])))
            elif tag == "CAS":
                for at in range(2, len(parts), 3):
                    entry = (parts[1], parts[at], Decimal(parts[at + 1]))
                    payment = current.payments[-1]
                    (payment.lines[-1] if payment.lines else payment).adjustments.append(entry)
            elif tag == "REF" and parts[1] == "6R":
                current.payments[-1].lines[-1].control = parts[2]
            elif tag == "AMT" and parts[1] == "B6":
                current.payments[-1].lines[-1].allowed = Decimal(parts[2])
            elif tag == "PLB":
                for at in range(3, len(parts), 2):
                    current.beside.append((parts[at].split(":")[0], Decimal(parts[at + 1])))
            elif tag == "SE":
                for payment in current.payments:
                    payment.spread()
                current.declared = int(parts[1])
                yield current
                current = Transaction()


def claims_837(folder: Path) -> list[dict[str, str]]:
    """Every CLM of the 837s: claim, amount, frequency, sum of the lines, submission, payer."""
    claims: list[dict[str, str]] = []
    for file in sorted(folder.glob("*.837")):
        payer = ""
        for segment in file.read_text().split("~"):
            parts = segment.split("*")
            if parts[0] == "NM1" and parts[1] == "PR":
                payer = parts[9]
            elif parts[0] == "CLM":
                claim = {"claim": parts[1], "amount": parts[2], "frequency": parts[5].split(":")[2], "payer": payer}
                claims.append(claim | {"lines": "0"})
            elif parts[0] == "REF" and parts[1] == "D9":
                claims[-1]["submission"] = parts[2]
            elif parts[0] == "SV1":
                claims[-1]["lines"] = str(Decimal(claims[-1]["lines"]) + Decimal(parts[2]))
    return claims


class Naive:
    """One tenant, read back; `totals` are the truths computed again."""

    def __init__(self, folder: Path, time_zone: str, as_of: date) -> None:
        self.folder, self.time_zone, self.as_of = folder, time_zone, as_of
        connection = sqlite3.connect(folder / "pm.sqlite")
        connection.row_factory = sqlite3.Row
        self.connection = connection
        units = self.table("service_units")
        self.zones = {row["service_unit_id"]: ZoneInfo(row["time_zone"] or time_zone) for row in units}
        self.transactions = list(transactions(folder / "835", NOT_COUNTED))
        self.totals: dict[str, str | None] = {}
        self.by_unit: dict[str, dict[str, str]] = defaultdict(dict)
        self.by_month: dict[str, dict[str, str]] = defaultdict(dict)
        self.access()
        self.care()
        self.money()
        self.claims()

    def table(self, name: str) -> list[sqlite3.Row]:
        return self.connection.execute(f"SELECT * FROM {name}").fetchall()

    def local_day(self, text: str, unit: str) -> date:
        at = moment(text)
        assert at is not None
        return at.astimezone(self.zones[unit]).date()

    def put(self, name: str, value: Decimal | int | None, *, money: bool = False) -> None:
        if value is None or isinstance(value, int):
            self.totals[name] = None if value is None else str(value)
        else:
            self.totals[name] = str(value.quantize(Decimal("0.01") if money else SIX))

    def share(self, name: str, above: int | Decimal, below: int | Decimal) -> None:
        self.put(name, Decimal(above) / Decimal(below) if below else None)

    def access(self) -> None:
        rows = [r for r in self.table("appointments") if r["scheduled_end_at"] >= r["scheduled_start_at"]]
        planned = [r for r in rows if not r["is_walk_in"]]
        kept = [r for r in planned if r["status"] in ("completed", "arrived", "no_show")]
        cancelled = [r for r in planned if r["status"] == "cancelled"]
        mine = [r for r in cancelled if r["cancel_initiator"] == "patient"]
        missed = [r for r in kept if r["status"] == "no_show"]

        def hours_before(row: sqlite3.Row) -> float:
            start, end = moment(row["cancelled_at"]), moment(row["scheduled_start_at"])
            assert start is not None
            assert end is not None
            return (end - start).total_seconds() / 3600

        late = [r for r in mine if hours_before(r) < 24]
        base = len(kept) + len(cancelled)
        self.put("appointments", len(rows))
        self.put("completed_appointments", sum(r["status"] == "completed" for r in rows))
        self.put("no_shows", sum(r["status"] == "no_show" for r in rows))
        self.put("late_cancels", len(late))
        self.share("no_show_rate", len(missed), len(kept))
        self.share("no_show_rate_with_late_cancels", len(missed), len(kept) + len(late))
        self.share("late_cancel_rate", len(late), base)
        self.share("cancel_rate", len(mine), base)
        self.share("any_cancel_rate", len(cancelled), base)
        leads = [
            (
                self.local_day(r["scheduled_start_at"], r["service_unit_id"])
                - self.local_day(r["booked_at"], r["service_unit_id"])
            ).days
            for r in planned
        ]
        self.share("lead_time_days", sum(leads), len(leads))
        self.put("median_lead_time_days", Decimal(median(leads)))
        self.starts = {r["appointment_id"]: moment(r["scheduled_start_at"]) for r in rows}
        for unit in self.zones:
            here = [r for r in kept if r["service_unit_id"] == unit]
            if here:
                rate = Decimal(sum(r["status"] == "no_show" for r in here)) / len(here)
                self.by_unit["no_show_rate"][unit] = str(rate.quantize(SIX))
        months: dict[str, int] = defaultdict(int)
        for row in rows:
            months[self.local_day(row["scheduled_start_at"], row["service_unit_id"]).strftime("%Y-%m")] += 1
        self.by_month["appointments"] = {month: str(count) for month, count in months.items()}

    def merges(self) -> dict[str, str]:
        """Record number ended to record number kept: the pairs whose last message by time is an A40 and no A37."""
        words: dict[frozenset[str], tuple[str, str, str, str]] = {}
        messages = []
        for name in ("adt-merges.hl7", "adt-apart.hl7"):
            for text in (self.folder / "hl7" / name).read_text().split("MSH|")[1:]:
                segments = [segment.split("|") for segment in text.splitlines()]
                _, event, at = next(parts for parts in segments if parts[0] == "EVN")
                people = [parts[3 if parts[0] == "PID" else 1] for parts in segments if parts[0] in ("PID", "MRG")]
                messages.append((at, event, *(person.split("^")[0] for person in people)))
        for at, event, kept, ended in sorted(messages):
            words[frozenset((kept, ended))] = (at, event, kept, ended)
        return {ended: kept for _, event, kept, ended in words.values() if event == "A40"}

    def own_encounter_ids(self) -> dict[str, set[str]]:
        """Identifiers of visits and stays that the FHIR files and the ADT messages have and the PM database has not."""
        known_ids = {row["encounter_id"] for row in self.table("encounters")}
        lines = (self.folder / "fhir" / "Encounter.ndjson").read_text().splitlines()
        own_ids = {"ehr": {json.loads(line)["id"] for line in lines}, "adt": set[str]()}
        for file in (self.folder / "hl7").glob("adt-*.hl7"):
            for segment in file.read_text().splitlines():
                parts = segment.split("|")
                # A number with another authority behind it is another visit.
                if parts[0] == "PV1" and len(parts) > 19 and "^" not in parts[19]:
                    own_ids["adt"].add(parts[19])
        return {feed: ids - known_ids for feed, ids in own_ids.items()}

    def care(self) -> None:
        rows, merges = self.table("encounters"), self.merges()
        self.put("encounters", len(rows))
        people = set()
        for row in rows:
            number = row["medical_record_number"]
            while number in merges:
                number = merges[number]
            people.add(number)
        self.put("patients", len(people))
        self.put("patients_before_merges", len({r["medical_record_number"] for r in rows}))
        stays = [
            (moment(r["started_at"]), moment(r["ended_at"]))
            for r in rows
            if r["encounter_class"] == "IMP" and r["ended_at"]
        ]
        seconds = sum(int((end - start).total_seconds()) for start, end in stays if start and end)
        self.share("bed_days", seconds, 86400)
        self.share("length_of_stay_days", seconds, 86400 * len(stays))
        cycles, waits = [], []
        starts = {r["encounter_id"]: self.starts.get(r["appointment_id"]) for r in rows}
        for row in self.table("encounter_timestamps"):
            arrived, left, roomed = (moment(row[name]) for name in ("checked_in_at", "checked_out_at", "roomed_at"))
            start = starts[row["encounter_id"]]
            if arrived and start and left and left >= arrived:
                cycles.append(int((left - max(arrived, start)).total_seconds()))
            if arrived and start and roomed and roomed >= arrived:
                waits.append(max(0, int((roomed - max(arrived, start)).total_seconds())))
        self.share("cycle_time_minutes", sum(cycles), 60 * len(cycles))
        self.put("median_cycle_time_minutes", Decimal(median(cycles)) / 60)
        self.share("wait_time_minutes", sum(waits), 60 * len(waits))

    def money(self) -> None:
        rows = [r for r in self.table("charges") if r["status"] == "posted" and r["service_date"]]
        paid: dict[str, Decimal] = defaultdict(Decimal)
        contractual: dict[str, Decimal] = defaultdict(Decimal)
        allowed = Decimal(0)
        for transaction in self.transactions:
            for payment in transaction.payments:
                for line in payment.lines:
                    paid[line.control] += line.paid
                    allowed += line.allowed or 0
                    entries = (amount for group, code, amount in line.adjustments if (group, code) in CONTRACTUAL)
                    contractual[line.control] += sum(entries, Decimal(0))
        patient: dict[str, Decimal] = defaultdict(Decimal)
        written_off: dict[str, Decimal] = defaultdict(Decimal)
        for row in self.table("patient_payments"):
            patient[row["charge_id"]] += Decimal(row["payment_amount"])
        for row in self.table("adjustments"):
            written_off[row["charge_id"]] += Decimal(row["adjustment_amount"])
        figures = {name: Decimal(0) for name in ("billed", "paid", "patient", "adjusted", "open", "old", "contractual")}
        lags = []
        for row in rows:
            control, charge, billed = row["line_control_number"], row["charge_id"], Decimal(row["billed_amount"])
            adjusted = contractual[control] + written_off[charge] if control else written_off[charge]
            payer_paid = paid[control] if control else Decimal(0)
            left = billed - payer_paid - patient[charge] - adjusted
            figures["billed"] += billed
            figures["paid"] += payer_paid
            figures["patient"] += patient[charge]
            figures["adjusted"] += adjusted
            figures["contractual"] += contractual[control] if control else 0
            figures["open"] += left
            served = date.fromisoformat(row["service_date"])
            figures["old"] += left if (self.as_of - served).days > 90 else 0
            if row["reversal_of_charge_id"] is None:
                lags.append((self.local_day(row["entered_at"], row["service_unit_id"]) - served).days)
        self.matched = set(paid) <= {r["line_control_number"] for r in rows}
        self.put("billed_amount", figures["billed"], money=True)
        self.put("payer_paid_amount", figures["paid"], money=True)
        self.put("patient_paid_amount", figures["patient"], money=True)
        self.put("adjusted_amount", figures["adjusted"], money=True)
        self.put("open_balance", figures["open"], money=True)
        self.put("open_balance_over_90", figures["old"], money=True)
        self.put("allowed_amount", allowed, money=True)
        self.share(
            "net_collection_rate", figures["paid"] + figures["patient"], figures["billed"] - figures["contractual"]
        )
        self.share("ar_over_90_rate", figures["old"], figures["open"])
        self.share("charge_lag_days", sum(lags), len(lags))
        self.put("median_charge_lag_days", Decimal(median(lags)))

    def claims(self) -> None:
        rows = self.table("claims")
        self.put("claims", len({r["claim_id"] for r in rows}))
        self.put("claim_submissions", len(rows))
        self.put("submitted_amount", sum((Decimal(r["billed_amount"]) for r in rows), Decimal(0)), money=True)
        unit = {r["claim_id"]: r["service_unit_id"] for r in rows}
        sent = {r["claim_id"]: self.local_day(r["submitted_at"], unit[r["claim_id"]]) for r in reversed(rows)}
        for row in rows:
            if row["claim_submission_id"].endswith("-1"):
                sent[row["claim_id"]] = self.local_day(row["submitted_at"], unit[row["claim_id"]])
        payments = [payment for transaction in self.transactions for payment in transaction.payments]
        answers: dict[str, list[Payment]] = defaultdict(list)
        for payment in sorted(payments, key=lambda item: item.day):
            if payment.status not in ("2", "22"):
                answers[payment.claim].append(payment)
        denied = {claim for claim, decisions in answers.items() if is_denied(decisions[0])}
        overturned = {claim for claim in denied if any(item.allowed() > 0 for item in answers[claim][1:])}
        self.put("remitted_claims", len(answers))
        self.put("denied_claims", len(denied))
        self.put("overturned_claims", len(overturned))
        self.share("denial_rate", len(denied), len(answers))
        self.share("denial_overturn_rate", len(overturned), len(denied))
        lags = [(decisions[0].day - sent[claim]).days for claim, decisions in answers.items()]
        self.share("payer_lag_days", sum(lags), len(lags))
        self.put("median_payer_lag_days", Decimal(median(lags)))
        self.put("remittance_claims", len(payments))
        self.put("remitted_billed_amount", sum((item.billed for item in payments), Decimal(0)), money=True)
        beside = [pair for transaction in self.transactions for pair in transaction.beside]
        recouped = sum((amount for reason, amount in beside if reason == "WO"), Decimal(0))
        reversed_ = -sum((item.paid for item in payments if item.status == "22"), Decimal(0))
        self.put("provider_adjustment_amount", sum((amount for _, amount in beside), Decimal(0)), money=True)
        self.put("takeback_amount", recouped + reversed_, money=True)
        self.put("remittances", len(self.transactions))
        self.underpaid(answers)

    def underpaid(self, answers: dict[str, list[Payment]]) -> None:
        rates = {
            (r["payer_id"], r["procedure_code"], r["modifiers"]): Decimal(r["rate_amount"])
            for r in self.table("contract_rates")
        }
        charges = {r["line_control_number"]: r for r in self.table("charges") if r["claim_id"]}
        payers = {r["claim_id"]: r["payer_id"] for r in self.table("claims") if r["payer_sequence"] == "primary"}
        missing = Decimal(0)
        for claim, decisions in answers.items():
            for line in decisions[-1].lines:
                row = charges[line.control]
                rate = rates[payers[claim], row["procedure_code"], row["modifiers"] or ""]
                gap = rate * Decimal(row["units"]) - (line.allowed or 0)
                if line.allowed and gap > Decimal("0.01"):
                    missing += gap
        self.put("underpaid_amount", missing, money=True)


def is_denied(payment: Payment) -> bool:
    """Status 4, or nothing allowed and a reason that is neither contractual nor the patient's share."""
    reasons = {(group, code) for line in payment.lines for group, code, _ in line.adjustments}
    return payment.status == "4" or (payment.allowed() == 0 and bool(reasons - NO_DENIAL))
