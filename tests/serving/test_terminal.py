"""What commands print: JSON on request from each of them, tables that fit, and wrong names that are named."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import click
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinicmart import options
from clinicmart.main import cli
from clinicmart.options import columns_that_fit, in_utc
from foundation.near_names import near
from tests.serving.conftest import Place
from tests.support import Ran, clinicmart_here

# Commands that serve, pass on another program's output, or print JSON and nothing else.
WITHOUT_JSON = {"demo", "listen", "serve", "dagster", "dbt", "sources jwks", "mcp"}


def leaves(group: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """(name, command) of all commands below a group."""
    if not isinstance(group, click.Group):
        yield " ".join(path), group
        return
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield from leaves(command, (*path, name))


def test_every_command_that_prints_a_result_prints_json_on_request() -> None:
    without = set()
    for name, command in leaves(cli):
        flags = {flag for parameter in command.params for flag in parameter.opts}
        formats = [p.type for p in command.params if "--format" in p.opts and isinstance(p.type, click.Choice)]
        if "--json" not in flags and not any("json" in choice.choices for choice in formats):
            without.add(name)
    assert without == WITHOUT_JSON


def ask(place: Place, *words: str, user: str = "admin@harbor", tenant: str = "harbor") -> Ran:
    return clinicmart_here(*words, "--home", place.home.path, "--tenant", tenant, "--as", user)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("users", "add", "new@harbor", "--role", "executive"), {"email": "new@harbor"}),
        (("users", "change", "ceo@harbor", "--lock"), {"email": "ceo@harbor", "changed": True}),
        (("users", "reset", "analyst@harbor"), {"email": "analyst@harbor"}),
        (("modules", "set", "no_show", "--off"), {"module": "no_show", "changed": True}),
    ],
)
def test_changes_are_told_as_json(place: Place, words: tuple[str, ...], said: dict[str, object]) -> None:
    ran = clinicmart_here(*words, "--home", place.home.path, "--tenant", "harbor", "--json")
    assert ran.code == 0, ran.err
    answer = json.loads(ran.out)
    assert {name: answer[name] for name in said} == said


def test_an_extract_and_the_audit_are_told_as_json(place: Place) -> None:
    out = place.home.path.parent / "extract.duckdb"
    extract = json.loads(ask(place, "extract", "--out", str(out), "--json").out)
    assert extract["path"] == str(out)
    assert len(extract["key"]) == 64
    verified = json.loads(clinicmart_here("audit", "verify", "--home", place.home.path, "--json").out)
    assert (verified["is_intact"], verified["first_bad"]) == (True, None)
    assert verified["rows"] > 10
    rows = json.loads(clinicmart_here("audit", "list", "--home", place.home.path, "--tenant", "harbor", "--json").out)
    assert all(datetime.fromisoformat(row["at"]).utcoffset() == timedelta(0) for row in rows)


@given(st.datetimes(), st.integers(-12 * 60, 14 * 60))
def test_a_time_is_printed_in_utc_with_its_zone(moment: datetime, minutes: int) -> None:
    assert in_utc(moment) == moment.replace(tzinfo=UTC)
    if datetime.min + timedelta(days=2) < moment < datetime.max - timedelta(days=2):
        elsewhere = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
        assert in_utc(elsewhere) == elsewhere
    assert options._cell(moment).endswith(" UTC")
    assert datetime.fromisoformat(options._as_json(moment)).tzinfo is not None


@given(st.lists(st.integers(1, 30), min_size=1, max_size=20), st.integers(20, 200))
def test_the_columns_of_a_table_fit_the_terminal(widths: list[int], terminal: int) -> None:
    frame = pl.DataFrame({f"c{number}": ["x" * width] for number, width in enumerate(widths)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(options, "_width", lambda _: terminal)
        fitting = columns_that_fit(frame, frame.columns)
    assert fitting == frame.columns[: len(fitting)]
    needed = [max(len(name), width) + 3 for name, width in zip(frame.columns, widths, strict=True)]
    assert len(fitting) == 1 or sum(needed[: len(fitting)]) <= terminal
    assert len(fitting) == frame.width or sum(needed[: len(fitting) + 1]) > terminal


def test_drill_prints_a_table_that_fits_and_all_columns_on_request(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(options, "_width", lambda _: 80)
    narrow = ask(place, "drill", "visits", "--limit", "3").out
    assert max(map(len, narrow.splitlines()[:6])) <= 80
    assert "--columns all shows all" in narrow
    every = json.loads(ask(place, "drill", "visits", "--limit", "3", "--format", "json").out)
    assert f" of {len(every[0])} columns" in narrow
    names = list(every[0])[2:4]
    chosen = json.loads(ask(place, "drill", "visits", "--columns", ",".join(names), "--format", "json").out)
    assert list(chosen[0]) == names
    assert len(
        ask(place, "drill", "visits", "--columns", "all", "--format", "csv").out.split("\n")[0].split(",")
    ) == len(every[0])


@pytest.mark.parametrize(
    ("words", "user", "tenant", "said"),
    [
        (("metrics", "query", "visits"), "admin@harbor", "harbr", "there is no tenant 'harbr'; similar names: harbor"),
        (("metrics", "query", "visits"), "admin@harbor", "zzz", "there is no tenant 'zzz'; there are: harbor, mesa"),
        (
            ("drill", "visits"),
            "admn@harbor",
            "harbor",
            "there is no user 'admn@harbor' in harbor who may sign in; similar",
        ),
        (("metrics", "query", "vists"), "admin@harbor", "harbor", "no metric is named 'vists'; similar names: visits"),
        (
            ("drill", "visits", "--columns", "visit_idd"),
            "admin@harbor",
            "harbor",
            "the rows have no column 'visit_idd'; similar names: visit_id",
        ),
        (
            ("metrics", "query", "visits", "--where", "payer_class=nonsense"),
            "admin@harbor",
            "harbor",
            "payer_class=nonsense: the dimension has no such value; there are: ",
        ),
        (("drill", "visits", "--where", "payer_class=nonsense"), "admin@harbor", "harbor", "has no such value"),
        (
            ("metrics", "query", "visits", "--where", "service_unit=eas"),
            "admin@harbor",
            "harbor",
            "service_unit=eas: the dimension has no such value; similar names: east",
        ),
    ],
)
def test_a_wrong_name_is_named_with_near_ones(
    place: Place, words: tuple[str, ...], user: str, tenant: str, said: str
) -> None:
    ran = ask(place, *words, user=user, tenant=tenant)
    assert ran.code in (1, 2)
    assert said in ran.err
    assert len(ran.err.splitlines()) == 1


def test_values_that_the_dimension_has_are_answered(place: Place) -> None:
    for condition in ("service_unit=east", "payer_class=unknown"):
        ran = ask(place, "metrics", "query", "visits", "--where", condition)
        assert ran.code == 0, ran.err


def test_a_mistyped_command_is_named() -> None:
    ran = clinicmart_here("statsu")
    assert ran.code == 2
    assert "No such command 'statsu'; similar names: status" in ran.err


def test_names_are_listed_where_none_is_near_and_they_are_few() -> None:
    assert near("zzz", ["b", "a"]) == "; there are: a, b"
    assert near("zzz", []) == "; there are: none"
    assert near("zzz", [f"name{number}" for number in range(13)]) == ""
