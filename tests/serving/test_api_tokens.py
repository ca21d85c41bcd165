"""Tokens of programs: kept as hashes, ended for good with the person's rights, never more than the person."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from foundation.errors import AccessError, ConfigurationError
from foundation.home import Home
from serving.people import secret_tokens
from serving.people.principal import Principal, Role
from serving.people.store import AccessStore
from serving.people.tables import API_TOKEN

EMAIL = "analyst@harbor"


@pytest.fixture
def store(tmp_path) -> AccessStore:  # type: ignore[no-untyped-def]
    opened = AccessStore.open(Home.at(tmp_path / "home"))
    for tenant in ("harbor", "mesa"):
        opened.ensure_tenant(tenant, tenant.capitalize())
        opened.add_user(tenant, f"analyst@{tenant}", display_name="Ann", role=Role.ANALYST, password="correct horse 9!")
    return opened


def _person(store: AccessStore, tenant: str = "harbor") -> Principal:
    return store.principal(tenant, f"analyst@{tenant}")


def _made(store: AccessStore, **changes: object) -> str:
    asked = {"name": "notebook", "allowed": ["figures"], "days": 30, "actor": "admin@harbor", **changes}
    return store.api_tokens.create(_person(store), **asked)  # type: ignore[arg-type]


def test_a_token_is_found_by_itself_alone_and_the_database_keeps_a_hash(store: AccessStore) -> None:
    token = _made(store, allowed=["rows", "figures"])
    found = store.api_tokens.of_secret(token)
    assert found is not None
    assert (found.email, found.allowed, found.name) == (EMAIL, ("figures", "rows"), "notebook")
    assert store.api_tokens.of_secret(token[:-1]) is None
    assert store.api_tokens.of_secret(secret_tokens.token_hash(token)) is None
    with store._reading.connect() as connection:
        (row,) = connection.execute(select(API_TOKEN)).mappings()
    assert token not in [str(value) for value in row.values()]
    assert row["last_used_at"] is not None


def test_a_token_ends_with_its_time(store: AccessStore, monkeypatch: pytest.MonkeyPatch) -> None:
    token = _made(store, days=1)
    now = secret_tokens.datetime.now(secret_tokens.UTC)

    class Later(secret_tokens.datetime):
        @classmethod
        def now(cls, tz=None):  # type: ignore[no-untyped-def]
            return now + timedelta(days=1, seconds=1)

    monkeypatch.setattr(secret_tokens, "datetime", Later)
    assert store.api_tokens.of_secret(token) is None


@pytest.mark.parametrize("change", ["lock", "role", "units", "reset"])
def test_a_change_of_the_person_ends_tokens_for_good(store: AccessStore, change: str) -> None:
    token = _made(store)
    if change == "lock":
        store.change_rights("harbor", EMAIL, is_active=False, actor="admin@harbor")
        store.change_rights("harbor", EMAIL, is_active=True, actor="admin@harbor")
    elif change == "role":
        store.change_rights("harbor", EMAIL, role=Role.EXECUTIVE, actor="admin@harbor")
        store.change_rights("harbor", EMAIL, role=Role.ANALYST, actor="admin@harbor")
    elif change == "units":
        store.change_rights("harbor", EMAIL, unit_ids=["east"], actor="admin@harbor")
    else:
        store.begin_reset("harbor", EMAIL, actor="admin@harbor")
    assert store.api_tokens.of_secret(token) is None


def test_a_revoked_token_opens_nothing_and_another_tenant_cannot_revoke_it(store: AccessStore) -> None:
    token = _made(store)
    name = secret_tokens.token_id(token)
    with pytest.raises(AccessError, match="no open token"):
        store.api_tokens.revoke("mesa", name, actor="admin@mesa")
    assert store.api_tokens.of_secret(token) is not None
    store.api_tokens.revoke("harbor", name, actor="admin@harbor")
    assert store.api_tokens.of_secret(token) is None
    with pytest.raises(AccessError, match="no open token"):
        store.api_tokens.revoke("harbor", name, actor="admin@harbor")
    assert [item.is_open for item in store.api_tokens.of_tenant("harbor")] == [False]
    assert store.api_tokens.of_tenant("mesa") == ()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": " "}, "give the token a name"),
        ({"name": "x" * 81}, "give the token a name"),
        ({"allowed": ["everything"]}, "cannot be allowed 'everything'"),
        ({"allowed": []}, "say what the token is allowed"),
        ({"days": 0}, "from 1 to 366 days"),
        ({"days": 367}, "from 1 to 366 days"),
    ],
)
def test_a_token_that_cannot_be_is_a_sentence(store: AccessStore, change: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        _made(store, **change)
    assert store.api_tokens.of_tenant("harbor") == ()


def test_making_and_revoking_are_rows_of_the_audit_without_the_token(store: AccessStore) -> None:
    token = _made(store)
    store.api_tokens.revoke("harbor", secret_tokens.token_id(token), actor="admin@harbor")
    rows = [row for row in store.audit_rows("harbor", limit=10) if row.action.startswith("token")]
    assert [row.action for row in rows] == ["token revoked", "token created"]
    assert all(token not in str(row) for row in rows)
    assert all(secret_tokens.token_id(token) in str(row.detail) for row in rows)
