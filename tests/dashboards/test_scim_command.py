"""`clinicmart tenants scim give` and `take`: the operator's way to what groups give."""

import pytest
from click.testing import CliRunner

from clinicmart.main import cli
from foundation.errors import AccessError
from serving.people.group_rights import GroupRight
from serving.people.principal import Role
from serving.people.scope import Scope
from serving.versions.store import tenant_folder
from tests.dashboards.scim_provider import added, grouped, principal


@pytest.fixture
def run(home):
    def invoke(*words, tenant="harbor"):
        asked = ["tenants", "scim", *words, "--tenant", tenant, "--home", str(home.path)]
        ran = CliRunner().invoke(cli, asked, standalone_mode=False)
        if ran.exception is not None:
            raise ran.exception
        return ran.output

    return invoke


def test_a_group_is_named_with_spaces_around_it(provider, served, run):
    person = added(provider())
    group = grouped(provider(), person)["displayName"]
    assert run("give", f"  {group} ", "--role", "analyst") == f"{group} gives analyst: the whole organization\n"
    assert principal(served, person).role is Role.ANALYST
    assert run("take", f" {group}  ") == f"{group} gives nothing any more\n"
    assert principal(served, person).role is Role.FRONT_DESK


def test_nothing_is_given_in_a_tenant_that_is_not_there(served, run):
    for words in (("give", "Team", "--role", "analyst"), ("take", "Team"), ("show",)):
        with pytest.raises(AccessError, match="no tenant 'harbour'"):
            run(*words, tenant="harbour")
    store = served.access
    for act in (
        lambda: store.set_group_right("harbour", GroupRight(group_name="Team", role=Role.ANALYST), actor="a"),
        lambda: store.remove_group_right("harbour", "Team", actor="a"),
        lambda: store.group_rights("harbour"),
    ):
        with pytest.raises(AccessError, match="no such tenant"):
            act()


def test_what_takes_nothing_away_is_no_change_in_the_audit(served, run):
    assert run("take", "A group of nobody") == "A group of nobody gave nothing\n"
    rows = served.access.audit_rows("harbor", action="group rights removed", limit=100)
    assert "A group of nobody" not in {row.detail["group"] for row in rows}


@pytest.mark.parametrize("by", ["command", "provider"])
def test_files_that_nobody_may_open_any_more_are_removed_at_once(provider, served, run, home, by):
    client = provider()
    person = added(client)
    group = grouped(client, person)
    units = f"{by}1,{by}2"
    run("give", group["displayName"], "--role", "program_manager", "--units", units)
    scope = Scope.of(principal(served, person), served.access.policy("harbor"))
    file = tenant_folder(home, "harbor") / "1" / "by_scope" / f"{scope.hash}.duckdb"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    if by == "command":
        run("take", group["displayName"])
    else:
        assert client.delete(f"/Groups/{group['id']}").status_code == 204
    assert not file.exists()
