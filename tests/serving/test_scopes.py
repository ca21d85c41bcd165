"""Who sees what: tenants that share every identifier, service units, providers, identity, modules."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date
from decimal import Decimal

import duckdb
import polars as pl
import pytest

from foundation import duck
from foundation.errors import AccessError, DamagedFileError
from serving.extracts import extract
from serving.model import MetricQuery
from serving.open_files import close_all
from serving.people import scope as scopes
from serving.people.principal import PLATFORM, Principal, Role
from serving.people.scope import Scope
from serving.reader import open_reader
from serving.scope_files.derive import scope_file
from serving.scope_files.unheld import remove_unheld
from serving.versions.store import current_version, files_of


def figure(reader, metric, **where):
    return reader.query(MetricQuery(metrics=[metric], where=where))[metric][0]


def rows_of(reader):
    """Table to frame of everything in the reader's file."""
    data = reader._metrics.data
    names = data.frame(
        "select table_schema as s, table_name as t from information_schema.tables where table_catalog = 'warehouse'"
    )
    return {name: data.frame(f'select * from warehouse."{schema}"."{name}"') for schema, name in names.rows()}


# Tenants


@pytest.mark.parametrize("user", ["admin", "ceo", "east", "doctor", "biller", "analyst"])
def test_no_path_brings_a_row_of_another_tenant(place, reader, person, user, tmp_path):
    mesa = reader(f"{user}@mesa")
    for name, frame in rows_of(mesa).items():
        # The table of the file's format number has no rows of any tenant.
        if name not in ("dim_dates", "clinicmart_format"):
            assert set(frame["tenant_id"]) <= {"mesa"}, name
            texts = frame.select(pl.col(pl.String)).unpivot()["value"].drop_nulls()
            assert not texts.str.contains("(?i)harbor").any(), name
    for item in mesa.metrics():
        for dimension in item.dimensions:
            answer = mesa.query(MetricQuery(metrics=[item.name], by=[dimension]))
            assert "arbor" not in str(answer.rows()), (item.name, dimension)
        if item.can_drill:
            assert "arbor" not in str(mesa.drill(item.name).frame.rows())
    for name in ("service_unit", "provider"):
        assert not mesa.dimension_values(name)["name"].str.contains("arbor").any()
    if mesa.scope.may_extract:
        report = extract(place.home, person(f"{user}@mesa"), tmp_path / "mesa.duckdb")
        assert report.tables["fct_visits"] == 100


def test_the_same_question_gives_each_tenant_its_own_figure(reader):
    assert figure(reader("admin@harbor"), "billed_amount") == Decimal("12030.0000")
    assert figure(reader("admin@mesa"), "billed_amount") == Decimal("450.0000")
    assert figure(reader("admin@harbor"), "visits", service_unit="lab") == 60
    assert figure(reader("admin@mesa"), "visits", service_unit="lab") == 20


def test_readers_of_two_tenants_in_many_threads_never_mix(reader):
    def ask(number: int) -> Decimal:
        tenant = ("harbor", "mesa")[number % 2]
        return figure(reader(f"admin@{tenant}"), "billed_amount")

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(ask, range(40)))
    assert found == [Decimal("12030.0000"), Decimal("450.0000")] * 20


def test_a_file_of_another_tenant_is_not_opened_even_when_it_lies_in_the_wrong_folder(place, reader, person):
    harbor, mesa = (current_version(place.home, tenant) for tenant in ("harbor", "mesa"))
    stolen = files_of(place.home, "harbor", harbor.version).base
    files_of(place.home, "mesa", mesa.version).base.write_bytes(stolen.read_bytes())
    with pytest.raises(DamagedFileError):
        reader("admin@mesa")


# Service units and providers


def test_a_program_manager_sees_the_assigned_units_and_below(reader):
    admin, east = reader("admin@harbor"), reader("east@harbor")
    assert figure(east, "visits") == figure(admin, "visits", service_unit="east") == 180
    assert {row[0] for row in east.query(MetricQuery(metrics=["visits"], by=["service_unit"])).rows()} == {
        "east",
        "imaging",
        "lab",
    }
    assert set(east.dimension_values("service_unit")["id"]) == {"east", "imaging", "lab"}
    assert set(rows_of(east)["fct_charges"]["service_unit_id"]) == {"imaging", "lab"}


def test_a_unit_outside_the_scope_is_refused_like_one_that_does_not_exist(reader):
    east = reader("east@harbor")
    messages = set()
    for unit in ("west", "nowhere"):
        with pytest.raises(AccessError) as refused:
            figure(east, "visits", service_unit=unit)
        messages.add(str(refused.value).replace(unit, "?"))
        with pytest.raises(AccessError):
            east.drill("visits", {"service_unit": unit})
    assert len(messages) == 1


def test_a_provider_sees_their_own_rows_and_patients(reader):
    doctor = reader("doctor@harbor")
    held = rows_of(doctor)
    assert set(held["fct_visits"]["provider_id"]) == {"p1"}
    assert set(held["dim_providers"]["provider_id"]) == {"p1", "unknown"}
    assert set(held["dim_patients"]["patient_id"]) <= set(held["fct_visits"]["patient_id"]) | set(
        held["fct_charges"]["patient_id"]
    )
    # Balances do not say whose they are.
    assert held["fct_balances"].is_empty()
    with pytest.raises(AccessError):
        doctor.health()


def test_people_that_the_rows_do_not_name_are_not_in_a_restricted_file(reader):
    held = rows_of(reader("biller@harbor"))
    named = set(held["fct_charges"]["patient_id"]) | set(
        held["fct_visits"]["patient_id"] if "fct_visits" in held else []
    )
    assert set(held["dim_patients"]["patient_id"]) == named


# Identity


def test_without_identity_nothing_in_the_file_leads_back_to_a_person(reader):
    whole, bare = rows_of(reader("admin@harbor")), rows_of(reader("analyst@harbor"))
    tokens = set(whole["dim_patients"]["patient_id"]) | set(whole["dim_patients"]["patient_key"])
    records = set(whole["fct_visits"]["visit_id"]) | set(whole["fct_charges"]["charge_id"])
    for name, frame in bare.items():
        texts = set(frame.select(pl.col(pl.String)).unpivot()["value"].drop_nulls())
        assert not texts & (tokens | records), name
    assert bare["fct_visits"]["source_position"].null_count() == bare["fct_visits"].height
    assert bare["dim_patients"]["birth_year"].min() == 2026 - 90
    assert set(bare["dim_patients"]["zip3"]) == {"000", "021"}
    assert whole["dim_patients"]["birth_year"].min() == 1930


def test_surrogates_join_and_count_as_the_tokens_do(reader):
    admin, analyst = reader("admin@harbor"), reader("analyst@harbor")
    assert figure(analyst, "people") == figure(admin, "people") == 9
    data = analyst._metrics.data
    joined = data.frame(
        "select count(*) as n from warehouse.marts.fct_visits "
        "join warehouse.marts.dim_patients using (tenant_id, patient_id) where birth_year is not null"
    )
    assert joined["n"][0] == 300


def test_two_scopes_cannot_be_matched_by_their_surrogates(place, reader):
    before = set(rows_of(reader("analyst@harbor"))["dim_patients"]["patient_id"])
    place.access.set_module("harbor", "forecasts", enabled=False, actor="test")
    after = set(rows_of(reader("analyst@harbor"))["dim_patients"]["patient_id"])
    assert len(before) == len(after) == 10
    assert not before & after


def test_limited_identity_has_surrogates_of_people_and_numbers_of_records(reader):
    whole, east = rows_of(reader("admin@harbor")), rows_of(reader("east@harbor"))
    people = set(whole["dim_patients"]["patient_id"]) | set(whole["dim_patients"]["patient_key"])
    assert people
    for name, frame in east.items():
        texts = frame.select(pl.col(pl.String)).unpivot()["value"].drop_nulls()
        assert not people & set(texts), name
    assert set(east["fct_visits"]["visit_id"]) <= set(whole["fct_visits"]["visit_id"])
    # Tables still join, and people are still distinguished.
    assert set(east["fct_visits"]["patient_id"]) <= set(east["dim_patients"]["patient_id"])
    assert (
        east["fct_visits"]["patient_id"].n_unique()
        == whole["fct_visits"]
        .filter(pl.col("service_unit_id").is_in(["east", "imaging", "lab"]))["patient_id"]
        .n_unique()
    )


# Modules and roles


def test_metrics_of_other_modules_are_absent_and_refused(reader):
    biller = reader("biller@harbor")
    assert {item.module for item in biller.metrics()} == {"revenue_cycle", "payer_mix", "no_show"}
    with pytest.raises(AccessError):
        figure(biller, "visits")
    with pytest.raises(AccessError):
        biller.drill("visits")


def test_a_module_that_is_switched_off_is_gone_on_the_next_request(place, reader):
    assert "payer_mix" in {item.module for item in reader("admin@harbor").metrics()}
    place.access.set_module("harbor", "payer_mix", enabled=False, actor="test")
    assert "payer_mix" not in {item.module for item in reader("admin@harbor").metrics()}
    assert "payer_mix" in {item.module for item in reader("admin@mesa").metrics()}
    with pytest.raises(AccessError):
        figure(reader("admin@harbor"), "payer_mix_billed")


def test_executives_see_figures_and_no_rows(place, reader, person, tmp_path):
    ceo = reader("ceo@harbor")
    assert figure(ceo, "visits") == 270
    assert not any(item.can_drill for item in ceo.metrics())
    with pytest.raises(AccessError):
        ceo.drill("visits")
    with pytest.raises(AccessError):
        extract(place.home, person("ceo@harbor"), tmp_path / "x.duckdb")
    assert not (tmp_path / "x.duckdb").exists()


def test_a_partner_sees_referrals_and_no_other_facts(reader):
    partner = reader("partner@harbor")
    assert all(item.name.startswith("referral") for item in partner.metrics())
    assert {name for name in rows_of(partner) if name.startswith("fct_")} == {"fct_referrals"}


def test_roles_that_need_something_get_nothing_without_it(place, person):
    place.access.add_user("harbor", "lost@harbor", display_name="Lost", role=Role.PROGRAM_MANAGER)
    place.access.add_user("harbor", "nobody@harbor", display_name="Nobody", role=Role.PROVIDER)
    place.access.ensure_tenant(PLATFORM, "Platform")
    place.access.add_user(PLATFORM, f"root@{PLATFORM}", display_name="Root", role=Role.SUPER_ADMIN)
    for user in ("lost@harbor", "nobody@harbor", f"root@{PLATFORM}"):
        with pytest.raises(AccessError):
            open_reader(place.home, person(user))
    assert place.access.audit_rows("harbor", action="open")[0].result == "refused"


def test_a_super_administrator_cannot_borrow_a_tenant(place):
    root = Principal(tenant_id="harbor", email="root@platform", display_name="Root", role=Role.SUPER_ADMIN)
    with pytest.raises(AccessError):
        open_reader(place.home, root)


# Scope hashes and files


def test_the_hash_changes_with_each_part_of_a_scope(place, person, monkeypatch):
    policy = place.access.policy("harbor")
    manager = person("east@harbor")
    hashes = {Scope.of(manager, policy).hash}
    changed = {"tenant_id": "mesa", "role": Role.BILLING_STAFF, "unit_ids": ("west",)}
    for name, value in changed.items():
        other = Principal(**{**vars(manager), name: value})
        hashes.add(Scope.of(other, place.access.policy(other.tenant_id)).hash)
    assert len(hashes) == 4
    place.access.set_module("harbor", "branding", enabled=False, actor="test")
    hashes.add(Scope.of(manager, place.access.policy("harbor")).hash)
    monkeypatch.setattr(scopes, "POLICY_VERSION", 99)
    hashes.add(Scope.of(manager, place.access.policy("harbor")).hash)
    assert len(hashes) == 6


def test_a_scope_is_never_made_from_another_tenants_policy(place, person):
    with pytest.raises(AccessError):
        Scope.of(person("admin@harbor"), place.access.policy("mesa"))


def test_an_administrator_reads_the_base_file_and_everybody_else_one_of_their_own(place, reader):
    version = current_version(place.home, "harbor")
    files = files_of(place.home, "harbor", version.version)
    admin, ceo = reader("admin@harbor"), reader("ceo@harbor")
    assert scope_file(place.home, version, admin.scope, admin.registry)[0] == files.base
    assert scope_file(place.home, version, ceo.scope, ceo.registry)[0] == files.scopes / f"{ceo.scope.hash}.duckdb"


def test_a_scope_file_is_written_once_however_many_ask(place, reader):
    version = current_version(place.home, "harbor")
    with ThreadPoolExecutor(6) as pool:
        readers = list(pool.map(lambda _: reader("analyst@harbor"), range(6)))
    path, _ = scope_file(place.home, version, readers[0].scope, readers[0].registry)
    written = path.stat()
    close_all()
    reader("analyst@harbor")
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (written.st_ino, written.st_mtime_ns)
    assert [item.name for item in path.parent.glob("*.duckdb")].count(path.name) == 1


def test_a_half_written_scope_file_of_a_killed_process_is_not_used(place, person):
    version = current_version(place.home, "harbor")
    scope = Scope.of(person("analyst@harbor"), place.access.policy("harbor"))
    folder = files_of(place.home, "harbor", version.version).scopes
    (folder / f".{scope.hash}.part").write_bytes(b"half")
    assert figure(open_reader(place.home, person("analyst@harbor")), "visits") == 270


def test_scope_files_are_encrypted_with_a_key_of_their_own(place, reader):
    analyst = reader("analyst@harbor")
    version = current_version(place.home, "harbor")
    path, key = scope_file(place.home, version, analyst.scope, analyst.registry)
    base = files_of(place.home, "harbor", version.version).base
    assert b"harbor" not in path.read_bytes()
    assert b"harbor" not in base.read_bytes()
    with duck.session(place.home) as connection, pytest.raises(duckdb.Error):
        duck.attach(connection, base, alias="x", key=key, read_only=True)


def test_a_reader_can_neither_write_nor_reach_other_files(reader, tmp_path):
    data = reader("analyst@harbor")._metrics.data
    for sql in (
        "delete from warehouse.marts.fct_visits",
        f"attach '{tmp_path / 'other.duckdb'}' as other",
        "select * from read_csv('/etc/passwd')",
        f"copy (select 1) to '{tmp_path / 'out.csv'}'",
        "set enable_external_access = true",
    ):
        with pytest.raises(duckdb.Error):
            data.frame(sql)


def test_the_period_of_a_drill_is_that_of_the_figure(reader):
    east = reader("east@harbor")
    period = {"date_from": date(2026, 2, 1), "date_to": date(2026, 2, 28)}
    asked = east.query(MetricQuery(metrics=["visits"], where={"service_unit": "lab"}, **period))["visits"][0]
    assert east.drill("visits", {"service_unit": "lab"}, **period).total_rows == asked > 0


def test_files_of_scopes_that_nobody_holds_are_removed_and_the_others_stay(place, reader):
    def scopes():
        folder = files_of(place.home, "harbor", current_version(place.home, "harbor").version).scopes
        return {file.stem for file in folder.glob("*.duckdb")}

    east, two = reader("east@harbor").scope.hash, reader("two@harbor").scope.hash
    assert {east, two} <= scopes()
    place.access.change_rights("harbor", "east@harbor", unit_ids=("west",), actor="test")
    assert remove_unheld(place.home, "harbor") == 1
    assert east not in scopes()
    assert two in scopes()
    # A person that is locked holds nothing either; other tenants keep theirs.
    reader("east@mesa")
    place.access.change_rights("harbor", "two@harbor", is_active=False, actor="test")
    remove_unheld(place.home, "harbor")
    assert scopes() == set()
    assert remove_unheld(place.home, "mesa") == 0
    # Who gets the scope back gets a file again.
    place.access.change_rights("harbor", "east@harbor", unit_ids=("east",), actor="test")
    assert figure(reader("east@harbor"), "visits") == 180
