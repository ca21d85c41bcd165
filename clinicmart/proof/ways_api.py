"""Ways through the API: tokens at foreign addresses, foreign units in questions, rows and rights that a role does not have."""

import http.client
import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from clinicmart.proof.canaries import PLACES, TENANTS, organisation_word, unit_id
from clinicmart.proof.server import Server
from clinicmart.proof.site import Person, Site
from clinicmart.proof.trials import Judge, Trial, Way
from clinicmart.proof.ways_reader import ADMIN, other
from dashboards.api import AGENTS_PATH, PREFIX
from foundation.errors import AccessError
from serving.people.api_tokens import ALLOWED, FIGURES
from serving.people.secret_tokens import token_id


def _token(site: Site, tenant: str, person: Person, *rights: str) -> str:
    return site.access.api_tokens.create(
        site.principal(tenant, person), name="proof", allowed=rights or ALLOWED, days=1, actor="proof"
    )


def _ask(server: Server, tenant: str, token: str, path: str, question: dict[str, Any] | None = None) -> str:
    """The body of an answer. Raises AccessError for a refusal."""
    host = f"{tenant}.localhost"
    headers = (("Authorization", f"Bearer {token}"), ("Content-Type", "application/json"))
    body = "" if question is None else json.dumps(question)
    status, text = server.ask(f"{PREFIX}{path}", host=host, headers=headers, body=body)
    if status != http.client.OK:
        raise AccessError(f"status {status}: {text}")
    return text


def _units_outside(
    judge: Judge, person: Person, metric: str, ask: Callable[..., str], ask_as_admin: Callable[..., str]
) -> Iterator[Trial]:
    """A figure at each unit of the tenant outside the person's scope. `ask` takes a question and raises where it is refused."""
    for place in (place for place in PLACES if place not in person.places):
        asked = {"metrics": [metric], "where": {"service_unit": [unit_id(judge.tenant, place)]}}
        yield judge.trial(
            f"ask for {metric} at the unit {place}",
            partial(ask, asked),
            control="the administrator is answered",
            holds=lambda asked=asked: bool(ask_as_admin(asked)),
            must_refuse=True,
        )


def _questions(site: Site, server: Server, tenant: str, person: Person) -> Iterator[Trial]:
    """Everything that the API answers, as this person: own words only, and nothing that the role does not have."""
    judge, foreign = Judge(site, "api", tenant, person), other(tenant)
    token, admin = _token(site, tenant, person), _token(site, tenant, ADMIN)
    with site.reader(tenant, person) as reader:
        held = bool(reader.metrics())
        sees_rows = reader.scope.row_tables_allowed

    as_admin = partial(_ask, server, tenant, admin, "/query")

    def is_answered(path: str, question: dict[str, Any] | None = None) -> Callable[[], bool]:
        return lambda: organisation_word(tenant, "") in _ask(server, tenant, admin, path, question)

    yield judge.trial(
        "ask the other tenant's address with the own token",
        lambda: _ask(server, foreign, token, "/status"),
        control="the own address answers the administrator",
        holds=lambda: bool(_ask(server, tenant, admin, "/status")),
        must_refuse=True,
    )
    if not held:
        return
    yield judge.trial(
        "list the service units",
        lambda: _ask(server, tenant, token, "/dimensions/service_unit/values"),
        control="the administrator gets names of units",
        holds=is_answered("/dimensions/service_unit/values"),
    )
    for metric in person.metrics:
        by_unit = {"metrics": [metric], "by": ["service_unit"], "grain": "month"}
        yield judge.trial(
            f"ask for {metric} by service unit",
            lambda by_unit=by_unit: _ask(server, tenant, token, "/query", by_unit),
            control="the administrator gets names of units",
            holds=is_answered("/query", by_unit),
        )
        yield from _units_outside(judge, person, metric, partial(_ask, server, tenant, token, "/query"), as_admin)
    for metric in person.metrics[:1]:
        rows = {"metric": metric}
        yield judge.trial(
            f"list the rows of {metric}",
            lambda rows=rows: _ask(server, tenant, token, "/drill", rows),
            control="the administrator gets rows",
            holds=lambda rows=rows: bool(json.loads(_ask(server, tenant, admin, "/drill", rows))["rows"]),
            must_refuse=not sees_rows,
        )
        figures_only = _token(site, tenant, person, FIGURES)
        yield judge.trial(
            f"list the rows of {metric} with a token that is allowed figures",
            lambda rows=rows, token=figures_only: _ask(server, tenant, token, "/drill", rows),
            control="the same token gets figures",
            holds=lambda metric=metric, token=figures_only: bool(
                _ask(server, tenant, token, "/query", {"metrics": [metric]})
            ),
            must_refuse=True,
        )


def _call(server: Server, tenant: str, token: str, tool: str, arguments: dict[str, Any]) -> str:
    """What an agent's tool answers. Raises AccessError for a refusal, also one that the tool says in words."""
    headers = (
        ("Authorization", f"Bearer {token}"),
        ("Content-Type", "application/json"),
        ("Accept", "application/json, text/event-stream"),
    )
    asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}
    status, text = server.ask(AGENTS_PATH, host=f"{tenant}.localhost", headers=headers, body=json.dumps(asked))
    if status != http.client.OK or json.loads(text).get("result", {}).get("isError", True):
        raise AccessError(f"status {status}: {text}")
    return text


def _agents(site: Site, server: Server, tenant: str, person: Person) -> Iterator[Trial]:
    """An agent with this person's token: own words only, no unit outside the scope, and no rows for anybody."""
    judge, token, admin = (
        Judge(site, "agent", tenant, person),
        _token(site, tenant, person),
        _token(site, tenant, ADMIN),
    )
    units = {"dimension": "service_unit"}

    def admin_is_answered() -> bool:
        return organisation_word(tenant, "") in _call(server, tenant, admin, "list_dimension_values", units)

    yield judge.trial(
        "call a tool at the other tenant's address with the own token",
        lambda: _call(server, other(tenant), token, "list_dimension_values", units),
        control="the own address answers the administrator",
        holds=admin_is_answered,
        must_refuse=True,
    )
    if not person.metrics:
        return
    yield judge.trial(
        "list the service units",
        lambda: _call(server, tenant, token, "list_dimension_values", units),
        control="the administrator gets names of units",
        holds=admin_is_answered,
    )
    for metric in person.metrics[:1]:
        yield judge.trial(
            f"list the rows of {metric}",
            lambda metric=metric: _call(server, tenant, token, "drill", {"metric": metric}),
            control="the figure is answered",
            holds=lambda metric=metric: bool(_call(server, tenant, token, "query", {"metrics": [metric]})),
            must_refuse=True,
        )
        as_person = partial(_call, server, tenant, token, "query")
        yield from _units_outside(judge, person, metric, as_person, partial(_call, server, tenant, admin, "query"))


def _ended(site: Site, server: Server) -> Iterator[Trial]:
    """Tokens that are no longer, or never were."""
    tenant = TENANTS[0]
    judge, good, revoked = Judge(site, "token", tenant, None), _token(site, tenant, ADMIN), _token(site, tenant, ADMIN)
    site.access.api_tokens.revoke(tenant, token_id(revoked), actor="proof")
    changed = good[:-1] + ("A" if good[-1] != "A" else "B")
    session = site.access.create_session(site.principal(tenant, ADMIN))
    for words, token in (
        ("no token", ""),
        ("a token whose last character was changed", changed),
        ("a revoked token", revoked),
        ("a session in place of a token", session),
    ):
        yield judge.trial(
            f"ask the API with {words}",
            lambda token=token: _ask(server, tenant, token, "/metrics"),
            control="an open token is answered",
            holds=lambda: bool(_ask(server, tenant, good, "/metrics")),
            must_refuse=True,
        )


WAYS = (
    Way(key="api", title="Questions to the API", tries=_questions, needs_server=True),
    Way(key="agent", title="Tools of agents", tries=_agents, needs_server=True),
    Way(key="token", title="Ended and forged tokens of the API", tries=_ended, is_of_site=True, needs_server=True),
)
