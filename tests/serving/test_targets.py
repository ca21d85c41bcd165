"""Targets: who may set one, which one counts, and that nothing is lost."""

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as some

from foundation.errors import AccessError, ConfigurationError
from serving.people.targets import WHOLE, Target, TargetTable
from serving.target_rules import target_path

JANUARY, JULY = date(2026, 1, 1), date(2026, 7, 1)
D = Decimal


def in_force(reader, metric="visits", unit=None, on=date(2026, 9, 30)):
    found = reader.targets.table().in_force(metric, target_path(reader._metrics, unit), on)
    return None if found is None else (found.value, found.service_unit_id, found.set_by)


def test_a_unit_has_the_target_of_the_nearest_unit_above_it(place, reader):
    admin = reader("admin@harbor")
    assert in_force(admin) is None
    admin.targets.set("visits", None, JANUARY, D(100))
    assert in_force(admin, unit="imaging") == (100, WHOLE, "admin@harbor")
    admin.targets.set("visits", "east", JULY, D(40))
    assert in_force(admin, unit="imaging") == (40, "east", "admin@harbor")
    assert in_force(admin, unit="imaging", on=date(2026, 6, 30)) == (100, WHOLE, "admin@harbor")
    assert in_force(admin, unit="west") == in_force(admin) == (100, WHOLE, "admin@harbor")
    # Who sees a part has the targets of what lies above it.
    assert in_force(reader("two@harbor"), unit="lab") == (40, "east", "admin@harbor")
    assert in_force(reader("admin@mesa")) is None


def test_every_version_is_kept_and_audited_with_the_value_before(place, reader):
    admin = reader("admin@harbor")
    for value in (D("0.07") * 1000, D(60), None):
        admin.targets.set("visits", "east", JANUARY, value)
    assert [target.value for target in admin.targets.versions()] == [70, 60, None]
    assert in_force(admin, unit="east") is None
    rows = place.access.audit_rows("harbor", action="target set")
    assert [(row.actor, row.detail["before"], row.detail["value"]) for row in rows] == [
        ("admin@harbor", "60", None),
        ("admin@harbor", "70.00", "60"),
        ("admin@harbor", None, "70.00"),
    ]
    assert place.access.verify_audit().is_intact


def test_a_manager_sets_targets_of_the_units_that_are_hers_and_of_no_others(place, reader):
    east = reader("east@harbor")
    east.targets.set("visits", "lab", JANUARY, D(20))
    assert in_force(east, unit="lab") == (20, "lab", "east@harbor")
    for unit in (None, "west", "group", "elsewhere"):
        with pytest.raises(AccessError):
            east.targets.set("visits", unit, JANUARY, D(20))
    assert len(place.access.targets.all("harbor")) == 1
    assert place.access.audit_rows("harbor", action="target set")[0].result == "refused"
    # Another unit's manager does not see it.
    assert [target.service_unit_id for target in reader("biller@harbor").targets.versions()] == []


@pytest.mark.parametrize("user", ["ceo", "doctor", "biller", "analyst"])
def test_other_roles_set_no_targets(place, reader, user):
    with pytest.raises(AccessError, match="your role does not set this target"):
        reader(f"{user}@harbor").targets.set("visits", "west", JANUARY, D(20))
    assert place.access.targets.all("harbor") == ()


@pytest.mark.parametrize(
    ("metric", "value", "why"),
    [
        ("no_such_metric", D(1), "no metric is named"),
        ("billed_amount", D(1), "neither better high nor better low"),
        ("visits", D(-1), "is not a target"),
        ("visits", D("NaN"), "is not a target"),
        ("visits", D("Infinity"), "is not a target"),
    ],
)
def test_what_cannot_be_a_target_is_refused(place, reader, metric, value, why):
    with pytest.raises(ConfigurationError, match=why):
        reader("admin@harbor").targets.set(metric, None, JANUARY, value)
    assert place.access.targets.all("harbor") == ()


DAYS = some.integers(1, 28).map(lambda day: date(2026, 3, day))
VERSIONS = some.lists(some.tuples(some.sampled_from(["a", "b", WHOLE]), DAYS, some.none() | some.integers(0, 9)))


@given(VERSIONS, DAYS)
def test_the_last_version_of_the_last_day_of_the_nearest_unit_counts(versions, on):
    targets = [
        Target(
            tenant_id="t",
            metric="m",
            service_unit_id=unit,
            valid_from=day,
            value=None if value is None else D(value),
            set_by="x",
        )
        for unit, day, value in versions
    ]
    expected = None
    for unit in (WHOLE, "b", "a"):
        begun = [(day, place, value) for place, (of, day, value) in enumerate(versions) if of == unit and day <= on]
        value = max(begun)[2] if begun else None
        expected = value if value is not None else expected
    found = TargetTable(targets).in_force("m", ["a", "b", WHOLE], on)
    assert (None if found is None else found.value) == expected
