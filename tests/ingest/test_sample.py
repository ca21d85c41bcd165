"""The sample: the same bytes again, books that balance, feeds that agree, truths that a naive reading finds too."""

import hashlib
import json
import re
import sqlite3
from collections import Counter
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from clinicmart.sample import SampleReport, write_sample, writer
from clinicmart.sample.structure import npi
from foundation.config import load_config
from foundation.errors import ConfigurationError
from tests.ingest.naive_sample import NOT_COUNTED, Naive, claims_837, transactions

TENANTS = ("harbor", "mesa", "juniper", "alder")
ZERO = Decimal(0)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> SampleReport:
    return write_sample(tmp_path_factory.mktemp("sample"), tenants=4, appointments=6000, seed=11)


@pytest.fixture(scope="module")
def truths(report: SampleReport) -> dict[str, dict]:
    return json.loads(report.truths.read_text())["tenants"]


@pytest.fixture(scope="module")
def naive(report: SampleReport) -> dict[str, Naive]:
    config = load_config(report.config)
    return {
        tenant.tenant_id: Naive(report.folder / tenant.tenant_id, tenant.time_zone, date(2026, 10, 31))
        for tenant in config.tenants
    }


def digests(folder: Path) -> dict[str, str]:
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and file.name != "config.yaml"]
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    first, two, other = tmp_path / "one", tmp_path / "two", tmp_path / "other"
    write_sample(first, tenants=1, appointments=400, seed=3)
    write_sample(two, tenants=1, appointments=400, seed=3)
    write_sample(other, tenants=1, appointments=400, seed=4)
    assert digests(first) == digests(two)
    assert digests(first)["harbor/pm.sqlite"] != digests(other)["harbor/pm.sqlite"]


def test_processes_beside_each_other_write_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_sample(tmp_path / "one", tenants=2, appointments=500, seed=3)
    monkeypatch.setattr(writer, "PARALLEL_FROM", 1)
    write_sample(tmp_path / "many", tenants=2, appointments=500, seed=3)
    assert digests(tmp_path / "one") == digests(tmp_path / "many")


def test_writing_again_leaves_nothing_of_the_sample_before(tmp_path: Path) -> None:
    write_sample(tmp_path / "twice", tenants=1, appointments=900, seed=5)
    write_sample(tmp_path / "twice", tenants=1, appointments=300, seed=6)
    write_sample(tmp_path / "once", tenants=1, appointments=300, seed=6)
    assert digests(tmp_path / "twice") == digests(tmp_path / "once")


@pytest.mark.parametrize(("tenants", "appointments"), [(0, 1000), (3, 599)])
def test_too_small_a_sample_is_refused(tmp_path: Path, tenants: int, appointments: int) -> None:
    with pytest.raises(ConfigurationError, match="a sample needs"):
        write_sample(tmp_path, tenants=tenants, appointments=appointments)


@pytest.mark.parametrize("day", [date(2009, 12, 31), date(2050, 1, 1)])
def test_a_last_day_out_of_reach_is_refused(tmp_path: Path, day: date) -> None:
    with pytest.raises(ConfigurationError, match="must lie between 2010-01-01 and 2049-12-31"):
        write_sample(tmp_path, tenants=1, appointments=200, as_of=day)
    assert not list(tmp_path.iterdir())


def test_configuration_is_valid_and_names_the_pm_database_first(report: SampleReport) -> None:
    config = load_config(report.config)
    assert tuple(tenant.tenant_id for tenant in config.tenants) == TENANTS
    assert [feed.name for feed in config.tenants[0].feeds] == [
        "pm",
        "ehr",
        "adt",
        "claims",
        "remits",
        "acknowledgements",
        "rvu",
        "levels",
    ]
    assert all(Path(feed.path).is_dir() for tenant in config.tenants for feed in tenant.feeds if feed.path)


def test_appointments_are_exactly_as_many_as_asked_for(truths: dict[str, dict]) -> None:
    assert sum(int(tenant["totals"]["appointments"]) for tenant in truths.values()) == 6000


def test_tenants_share_ids_that_mean_different_things(report: SampleReport) -> None:
    result = []
    for tenant in TENANTS[:2]:
        connection = sqlite3.connect(report.folder / tenant / "pm.sqlite")
        result.append(
            {
                table: dict(connection.execute(f"SELECT {key}, {value} FROM {table}"))
                for table, key, value in (
                    ("appointments", "appointment_id", "scheduled_start_at"),
                    ("patients", "medical_record_number", "family_name || birth_date"),
                    ("claims", "claim_submission_id", "service_from_date || billed_amount"),
                )
            }
        )
    for table in result[0]:
        shared = result[0][table].keys() & result[1][table].keys()
        assert len(shared) > 200
        assert sum(result[0][table][key] != result[1][table][key] for key in shared) > 0.9 * len(shared)


def test_every_key_of_the_pm_database_points_to_a_row(report: SampleReport) -> None:
    for tenant in TENANTS:
        connection = sqlite3.connect(report.folder / tenant / "pm.sqlite")
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        assert len(tables) == 30
        for table in tables:
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            if "payer_id" in columns:
                query = f"SELECT count(*) FROM {table} WHERE payer_id NOT IN (SELECT payer_id FROM payers)"
                assert connection.execute(query).fetchone() == (0,), table


def test_nothing_happens_after_the_as_of_day_but_what_is_booked(report: SampleReport) -> None:
    connection = sqlite3.connect(report.folder / "harbor" / "pm.sqlite")
    latest = "2026-11-01 04:00:00"  # midnight in New York
    for table in (
        "appointments",
        "charges",
        "claims",
        "encounters",
        "patient_payments",
        "adjustments",
        "reminders",
        "slots",
    ):
        assert connection.execute(f"SELECT max(updated_at) FROM {table}").fetchone()[0] <= latest, table
    future = connection.execute("SELECT DISTINCT status FROM appointments WHERE scheduled_start_at > ?", (latest,))
    assert future.fetchall() == [("scheduled",)]
    past = connection.execute("SELECT DISTINCT status FROM appointments WHERE scheduled_start_at <= ?", (latest,))
    assert ("scheduled",) not in past.fetchall()


def test_times_of_an_appointment_come_in_order(report: SampleReport) -> None:
    connection = sqlite3.connect(report.folder / "mesa" / "pm.sqlite")
    for wrong in (
        "booked_at >= scheduled_start_at",
        "status <> 'no_show' AND cancelled_at NOT BETWEEN booked_at AND scheduled_start_at",
        "status IN ('cancelled', 'rescheduled') AND (cancelled_at IS NULL OR cancel_initiator IS NULL)",
    ):
        query = f"SELECT count(*) FROM appointments WHERE scheduled_end_at >= scheduled_start_at AND {wrong}"
        assert connection.execute(query).fetchone() == (0,), wrong
    chain = "SELECT count(*) FROM appointments n JOIN appointments o ON o.appointment_id = n.rescheduled_from_appointment_id"
    moved = connection.execute("SELECT count(*) FROM appointments WHERE status = 'rescheduled'").fetchone()
    assert moved[0] > 0
    assert (
        connection.execute(f"{chain} AND o.status = 'rescheduled' AND n.booked_at = o.cancelled_at").fetchone() == moved
    )


def test_every_remittance_line_claim_and_transaction_balances(naive: dict[str, Naive]) -> None:
    seen = Counter()
    for tenant in naive.values():
        for transaction in tenant.transactions:
            assert transaction.declared == transaction.counted
            paid = sum((payment.paid for payment in transaction.payments), ZERO)
            assert transaction.amount == paid - sum((amount for _, amount in transaction.beside), ZERO)
            assert transaction.amount >= 0
            for payment in transaction.payments:
                seen[payment.status] += 1
                assert payment.billed == sum((line.billed for line in payment.lines), ZERO)
                assert payment.paid == sum((line.paid for line in payment.lines), ZERO)
                shares = [a for line in payment.lines for group, _, a in line.adjustments if group == "PR"]
                assert payment.patient == sum(shares, ZERO)
                for line in payment.lines:
                    assert line.billed == line.paid + sum((amount for _, _, amount in line.adjustments), ZERO)
    assert seen.keys() == {"1", "2", "4", "22"}


def test_a_reversal_takes_back_what_was_paid_to_the_cent(naive: dict[str, Naive]) -> None:
    payments = [p for tenant in naive.values() for t in tenant.transactions for p in t.payments]
    reversals = [payment for payment in payments if payment.status == "22"]
    assert len(reversals) > 10
    for tenant in naive.values():
        mine = [payment for transaction in tenant.transactions for payment in transaction.payments]
        for reversal in (payment for payment in mine if payment.status == "22"):
            same = [p for p in mine if p.claim == reversal.claim and p.day < reversal.day]
            assert [p.paid for p in same] == [-reversal.paid]
            assert [p.claim for p in mine if p.claim == reversal.claim and p.day == reversal.day] == [
                reversal.claim
            ] * 2


def test_claims_sent_are_the_claims_of_the_pm_database(report: SampleReport, naive: dict[str, Naive]) -> None:
    for tenant in TENANTS:
        every = claims_837(report.folder / tenant / "837")
        voided = {claim["claim"] for claim in every if claim["frequency"] == "8"}
        assert voided, "the 837s void some claims and send them again, which the PM database does not know"
        again = [claim["frequency"] for claim in every if claim["claim"] in voided]
        assert Counter(again) == {"1": 2 * len(voided), "8": len(voided)}
        sent = {
            claim["submission"]: claim
            for claim in every
            if claim["claim"] not in voided or claim["submission"].endswith("-1")
        }
        rows = naive[tenant].table("claims")
        names = {row["payer_id"]: row["electronic_payer_id"] for row in naive[tenant].table("payers")}
        assert sent.keys() == {row["claim_submission_id"] for row in rows}
        for row in rows:
            claim = sent[row["claim_submission_id"]]
            assert claim["claim"] == row["claim_id"]
            assert claim["amount"] == claim["lines"] == row["billed_amount"]
            assert claim["frequency"] == row["frequency_code"]
            wanted = {row["payer_id"]} if row["payer_sequence"] == "primary" else set(names)
            assert claim["payer"] in {names[payer] for payer in wanted}


def test_segment_counts_of_the_claim_files_are_right(report: SampleReport) -> None:
    for file in (report.folder / "juniper" / "837").glob("*.837"):
        segments = file.read_text().split("~")
        start = 0
        for index, segment in enumerate(segments):
            if segment.startswith("ST*"):
                start = index
            elif segment.startswith("SE*"):
                assert int(segment.split("*")[1]) == index - start + 1


def test_every_remittance_line_meets_a_charge(naive: dict[str, Naive]) -> None:
    assert all(tenant.matched for tenant in naive.values())


@pytest.mark.parametrize("tenant", TENANTS)
def test_truths_are_what_a_naive_reading_of_the_feeds_finds(
    tenant: str, truths: dict[str, dict], naive: dict[str, Naive]
) -> None:
    expected = truths[tenant]
    result = naive[tenant].totals
    assert len(result) > 40
    assert {name: expected["totals"][name] for name in result} == result
    assert expected["by_service_unit"]["no_show_rate"] == naive[tenant].by_unit["no_show_rate"]
    assert expected["by_month"]["appointments"] == naive[tenant].by_month["appointments"]


@pytest.mark.parametrize("day", ["2010-01-01", "2026-11-29", "2027-01-01", "2028-02-29", "2049-12-19", "2049-12-31"])
def test_a_sample_that_ends_on_any_day_is_as_its_truths_say(tmp_path: Path, day: str) -> None:
    last_day = date.fromisoformat(day)
    report = write_sample(tmp_path, tenants=1, appointments=500, as_of=last_day)
    (tenant,) = load_config(report.config).tenants
    assert tenant.as_of == last_day
    result = Naive(report.folder / tenant.tenant_id, tenant.time_zone, last_day).totals
    expected = json.loads(report.truths.read_text())["tenants"][tenant.tenant_id]["totals"]
    assert {name: expected[name] for name in result} == result


def test_sums_by_dimension_add_up_to_the_total(truths: dict[str, dict]) -> None:
    additive = (
        "appointments",
        "encounters",
        "billed_amount",
        "payer_paid_amount",
        "open_balance",
        "claims",
        "denied_claims",
    )
    for tenant in truths.values():
        for name in additive:
            for dimension in ("by_month", "by_service_unit", "by_payer", "by_payer_class"):
                assert sum(Decimal(value) for value in tenant[dimension][name].values()) == Decimal(
                    tenant["totals"][name]
                )


def test_money_is_conserved(truths: dict[str, dict]) -> None:
    for tenant in truths.values():
        total = {
            name: Decimal(value)
            for name, value in tenant["totals"].items()
            if value and name.endswith(("_amount", "_balance"))
        }
        parts = ("payer_paid_amount", "patient_paid_amount", "adjusted_amount", "open_balance")
        assert total["billed_amount"] == sum(total[name] for name in parts)
        assert total["payer_paid_amount"] == total["remitted_paid_amount"]


def test_every_truth_is_defined(report: SampleReport) -> None:
    content = json.loads(report.truths.read_text())
    for tenant in content["tenants"].values():
        named = set(tenant["totals"]) | {name for key in tenant if key.startswith("by_") for name in tenant[key]}
        assert named <= set(content["definitions"])


def test_the_planted_stories_show(tmp_path: Path) -> None:
    write_sample(tmp_path, tenants=1, appointments=20_000, seed=7)
    truth = json.loads((tmp_path / "truths.json").read_text())["tenants"]["harbor"]
    rates = {unit: float(rate) for unit, rate in truth["by_service_unit"]["no_show_rate"].items()}
    worst = max(rates, key=rates.__getitem__)
    assert rates[worst] > 2 * float(truth["totals"]["no_show_rate"])
    takebacks = {month: float(value) for month, value in truth["by_payment_month"]["takeback_amount"].items()}
    assert max(takebacks, key=takebacks.__getitem__) == "2026-08"
    lags = {month: float(value) for month, value in truth["by_month"]["charge_lag_days"].items()}
    assert max(lags["2026-07"], lags["2026-08"]) > 1.5 * lags["2026-04"]
    recent, before = Counter[str](), Counter[str]()
    for transaction in transactions(tmp_path / "harbor" / "835", NOT_COUNTED):
        for payment in transaction.payments:
            if payment.status == "4" and payment.lines[0].adjustments[0][:2] == ("CO", "197"):
                recent[payment.payer] += transaction.day >= date(2026, 8, 15)
                before[payment.payer] += transaction.day < date(2026, 7, 1)
    payer, count = recent.most_common(1)[0]
    assert count / 2.5 > 2 * before[payer] / 14  # by month


def test_flaws_are_where_the_truths_say(report: SampleReport, truths: dict[str, dict]) -> None:
    planted = truths["harbor"]["planted"]
    folder = report.folder / "harbor"
    connection = sqlite3.connect(folder / "pm.sqlite")
    for name, query in {
        "appointments_end_before_start": "appointments WHERE scheduled_end_at < scheduled_start_at",
        "charges_with_unknown_status": "charges WHERE status NOT IN ('posted', 'void')",
        "charges_without_service_date": "charges WHERE service_date IS NULL",
    }.items():
        assert str(connection.execute(f"SELECT count(*) FROM {query}").fetchone()[0]) == planted[name]
    copies = Counter(hashlib.sha256(file.read_bytes()).hexdigest() for file in (folder / "835").glob("*.835"))
    assert sorted(copies.values())[-2:] == [1, 2]
    assert not (folder / "835" / planted["refused_files"]["remits"][0]).read_bytes().startswith(b"ISA")
    controls = Counter(
        match
        for file in (folder / "hl7").glob("*.hl7")
        for match in re.findall(r"\|(H\d{8})\|P\|2\.5\.1", file.read_text())
    )
    assert sorted(controls.values())[-2:] == [1, 2]
    merges = (folder / "hl7" / "adt-merges.hl7").read_text()
    assert str(merges.count("ADT^A40")) == planted["merges"]
    apart = (folder / "hl7" / "adt-apart.hl7").read_text()
    assert str(apart.count("ADT^A37")) == planted["unmerges"]


def test_other_systems_have_as_many_identifiers_of_their_own_as_the_truths_say(
    truths: dict[str, dict], naive: dict[str, Naive]
) -> None:
    for tenant in TENANTS:
        result = naive[tenant].own_encounter_ids()
        assert {feed: str(len(ids)) for feed, ids in result.items()} == truths[tenant]["planted"]["own_encounter_ids"]
        assert len(result["ehr"]) > 5
        assert {identifier[0] for identifier in result["adt"]} == {"N", "R"}


def test_merges_that_were_taken_back_do_not_stand_and_the_one_made_anew_does(naive: dict[str, Naive]) -> None:
    for tenant in naive.values():
        standing = tenant.merges()
        records = sorted(row["medical_record_number"] for row in tenant.table("patients"))
        assert sorted(standing) == records[-6:]


def test_the_birth_years_that_the_ehr_has_wrong_are_as_many_as_planted(
    report: SampleReport, naive: dict[str, Naive], truths: dict[str, dict]
) -> None:
    for tenant in TENANTS:
        years = {row["medical_record_number"]: row["birth_date"][:4] for row in naive[tenant].table("patients")}
        lines = (report.folder / tenant / "fhir" / "Patient.ndjson").read_text().splitlines()
        reported = {item["identifier"][0]["value"]: item["birthDate"][:4] for item in map(json.loads, lines)}
        wrong = sum(years[record] != year for record, year in reported.items())
        (planted,) = [
            item["keys"] for item in truths[tenant]["planted"]["contradictions"] if item["entity"] == "patient"
        ]
        assert str(wrong) == planted


def test_messages_and_resources_agree_with_the_pm_database(report: SampleReport, naive: dict[str, Naive]) -> None:
    for tenant in TENANTS:
        rows = {row["encounter_id"]: row for row in naive[tenant].table("encounters")}
        patients, encounters = {}, {}
        for line in (report.folder / tenant / "fhir" / "Patient.ndjson").read_text().splitlines():
            resource = json.loads(line)
            patients[f"Patient/{resource['id']}"] = resource["identifier"][0]["value"]
        for line in (report.folder / tenant / "fhir" / "Encounter.ndjson").read_text().splitlines():
            resource = json.loads(line)
            encounters[resource["identifier"][0]["value"]] = resource
        own = {identifier: resource for identifier, resource in encounters.items() if identifier.startswith("E")}
        assert encounters.keys() - own.keys() < rows.keys()
        assert len(encounters) == len(rows)
        alike = {("V" + identifier[1:] if identifier in own else identifier): r for identifier, r in encounters.items()}
        for identifier, row in rows.items():
            resource = alike[identifier]
            later = timedelta(minutes=2 if resource["id"] in own else 0)
            start = datetime.fromisoformat(row["started_at"]) + later
            assert resource["class"]["code"] == row["encounter_class"]
            assert patients[resource["subject"]["reference"]] == row["medical_record_number"]
            assert resource["period"]["start"] == start.isoformat() + "Z"
        text = "".join(file.read_text() for file in (report.folder / tenant / "hl7").glob("adt-2*.hl7"))
        admitted = re.findall(r"EVN\|A01\|.*?\|([SN]\d{7})\|", text.replace("\n", "|"))
        assert sorted("S" + visit[1:] for visit in admitted) == sorted(key for key in rows if key.startswith("S"))


def test_provider_identifiers_pass_the_check_digit() -> None:
    for number in (0, 1, 4711, 9_000_001):
        digits = [int(digit) for digit in "80840" + npi(number)]
        doubled = [digit * 2 - 9 * (digit > 4) if index % 2 else digit for index, digit in enumerate(reversed(digits))]
        assert sum(doubled) % 10 == 0
