"""SCIM behind its door: who asks, what may be asked, and errors as RFC 7644, 3.12 has them."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from http import HTTPStatus
from operator import or_
from threading import Lock
from typing import Any

from pydantic import ValidationError
from scim2_models import (
    BaseModel,
    Context,
    Error,
    ListResponse,
    PatchOp,
    Resource,
    ResourceType,
    ResponseParameters,
    Schema,
    SCIMException,
    SearchRequest,
)
from starlette.requests import Request
from starlette.responses import Response

from dashboards import served_home
from dashboards.api.problems import ApiError
from dashboards.api.who import bearer_of, opened
from dashboards.scim import LARGEST_BODY, PREFIX
from dashboards.scim.resources import (
    CONFIG,
    MOST_RESULTS,
    POLICY,
    PROVIDER,
    Group,
    User,
    completed,
    person_of,
    team_of,
)
from foundation.errors import ConfigurationError
from serving.counters import PAGE_ERRORS
from serving.people.engines import SCIM_LOCK
from serving.people.provisioning_store import Exists, Unknown
from serving.people.scim_tokens import ScimToken
from serving.scope_files.unheld import remove_unheld

MEDIA_TYPE = "application/scim+json"
CHANNEL = "scim"
# A change reads a person or group, changes it and writes it back. Two at once could lose one of them, such as a lock. The database's lock
# is for other servers, this one for threads: one of them asks the database at a time.
_CHANGES = Lock()


class Refusal(Exception):
    """An answer that is an error."""

    def __init__(
        self, status: HTTPStatus, detail: str, scim_type: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.scim_type, self.headers = status, detail, scim_type, dict(headers or {})


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request: its token, the path below PREFIX in parts, and its content."""

    token: ScimToken
    method: str
    parts: tuple[str, ...]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    base: str

    @property
    def actor(self) -> str:
        """Whose changes the audit names."""
        return _actor(self.token)


def answer(request: Request, body: bytes) -> Response:
    """The answer to a request below PREFIX."""
    try:
        return _answered(_asked(request, body))
    except Refusal as refusal:
        return _error(refusal.status, refusal.detail, refusal.scim_type, refusal.headers)
    except Exception:  # its text may hold what was sent; the server says its kind alone
        PAGE_ERRORS.inc()
        return _error(HTTPStatus.INTERNAL_SERVER_ERROR, "The request failed.")


def _answered(asked: Asked) -> Response:
    """The answer to a request with an open token. What is refused is a row of the tenant's audit."""
    try:
        if len(asked.body) > LARGEST_BODY:
            raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is larger than {LARGEST_BODY // 1024} kB")
        with POLICY:
            return _dispatch(asked)
    except Refusal as refusal:
        response = _error(refusal.status, refusal.detail, refusal.scim_type, refusal.headers)
    except SCIMException as error:
        response = _of_error(error.to_error())
    except ValidationError as error:
        response = _of_error(Error.from_validation_errors(error)[0])
    except Unknown as error:
        response = _error(HTTPStatus.NOT_FOUND, str(error))
    except Exists as error:
        response = _error(HTTPStatus.CONFLICT, str(error), "uniqueness")
    except ConfigurationError as error:
        response = _error(HTTPStatus.BAD_REQUEST, str(error), "invalidValue")
    # Of the path only what this server has: a provider may write anything there.
    kind = next((part for part in asked.parts[:1] if part in _KINDS), "")
    _record(asked, {"asks": asked.method, "of": kind, "status": int(response.status_code)})
    return response


def _error(
    status: HTTPStatus, detail: str, scim_type: str | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    return _of_error(Error(status=int(status), detail=detail, scim_type=scim_type), headers)


def _of_error(error: Error, headers: Mapping[str, str] | None = None) -> Response:
    return Response(error.model_dump_json(), int(error.status or 400), headers, MEDIA_TYPE)


def _asked(request: Request, body: bytes) -> Asked:
    """Who asks. Raises Refusal: 401 for no, an unknown or an ended token, 403 at another tenant's address, 404, 429."""
    try:
        token, _ = opened(
            request,
            bearer_of(request),
            served_home.access().scim_tokens,
            channel=CHANNEL,
            action=CHANNEL,
            actor=_actor,
            advice="Send an open token: Authorization: Bearer TOKEN.",
        )
    except ApiError as error:
        raise Refusal(error.status, error.detail, headers=error.headers) from None
    return Asked(
        token=token,
        method=request.method,
        parts=tuple(part for part in request.url.path.removeprefix(PREFIX).split("/") if part),
        query=dict(request.query_params),
        headers=request.headers,
        body=body,
        base=f"{request.url.scheme}://{request.headers.get('host', '')}{PREFIX}",
    )


def _actor(token: ScimToken) -> str:
    """Whose changes the audit names."""
    return f"scim:{token.name}"


def _record(asked: Asked, detail: Mapping[str, object], result: str = "refused") -> None:
    served_home.access().audit(asked.token.tenant_id, asked.actor, CHANNEL, detail=detail, result=result)


def _dispatch(asked: Asked) -> Response:
    match asked.parts:
        case ("ServiceProviderConfig",):
            return _read_only(asked, lambda: CONFIG)
        case ("Schemas" | "ResourceTypes" as kind, *key) if len(key) <= 1:
            return _read_only(asked, lambda: _described(kind, *key))
        case (".search",):
            return _searched(asked, *_KINDS.values())
        case ("Users" | "Groups" as kind,):
            return _collection(asked, _KINDS[kind])
        case ("Users" | "Groups" as kind, ".search"):
            return _searched(asked, _KINDS[kind])
        case ("Users" | "Groups" as kind, key):
            return _one(asked, _KINDS[kind], key)
    raise Refusal(HTTPStatus.NOT_FOUND, "there is nothing at this address")


def _read_only(asked: Asked, resource: Callable[[], BaseModel]) -> Response:
    if asked.method != "GET":
        raise _not_here("GET")
    if "filter" in asked.query:
        raise Refusal(HTTPStatus.FORBIDDEN, "descriptions cannot be filtered")
    return _response(resource())


def _not_here(*methods: str) -> Refusal:
    return Refusal(HTTPStatus.METHOD_NOT_ALLOWED, "this cannot be done here", headers={"allow": ", ".join(methods)})


def _described(kind: str, key: str = "") -> BaseModel:
    every: list[Any] = list(PROVIDER.schemas if kind == "Schemas" else PROVIDER.resource_types)
    if key:
        for each in every:
            if each.id == key:
                description: BaseModel = each
                return description
        raise Refusal(HTTPStatus.NOT_FOUND, "there is no such description")
    model = Schema if kind == "Schemas" else ResourceType
    return ListResponse[model](total_results=len(every), start_index=1, items_per_page=len(every), resources=every)  # type: ignore[valid-type]


def _response(
    resource: BaseModel,
    status: HTTPStatus = HTTPStatus.OK,
    context: Context = Context.RESOURCE_QUERY_RESPONSE,
    parameters: ResponseParameters[Any] | None = None,
) -> Response:
    headers = {}
    meta = getattr(resource, "meta", None)
    if meta is not None and meta.version:
        headers = {"etag": meta.version, "location": str(meta.location)}
    return Response(
        resource.model_dump_json(scim_ctx=context, response_parameters=parameters), int(status), headers, MEDIA_TYPE
    )


# People and groups


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """How one kind of resource is read and written."""

    model: type[Resource[Any]]
    every: Callable[[Asked], list[Resource[Any]]]
    read: Callable[[Asked, str], Resource[Any]]
    write: Callable[[Asked, str | None, Any], Resource[Any]]
    remove: Callable[[Asked, str], None]
    complete: Callable[[Mapping[str, Any], Any], dict[str, Any]] = lambda sent, _now: dict(sent)


def _people(asked: Asked) -> list[Resource[Any]]:
    return [person_of(each, asked.base) for each in served_home.access().accounts(asked.token.tenant_id)]


def _person(asked: Asked, key: str) -> Resource[Any]:
    return person_of(served_home.access().account(asked.token.tenant_id, key), asked.base)


def _write_person(asked: Asked, key: str | None, person: User) -> Resource[Any]:
    store, tenant_id, shown = served_home.access(), asked.token.tenant_id, person.display_name or ""
    is_active, other_id, actor = person.active is not False, person.external_id, asked.actor
    if key is None:
        account = store.add_account(
            tenant_id,
            person.user_name or "",
            display_name=shown,
            is_active=is_active,
            external_id=other_id,
            actor=actor,
        )
    else:
        account = store.change_account(
            tenant_id, key, display_name=shown, is_active=is_active, external_id=other_id, actor=actor
        )
    if not account.is_active:
        _remove_unheld(asked)
    return person_of(account, asked.base)


def _remove_person(asked: Asked, key: str) -> None:
    served_home.access().remove_account(asked.token.tenant_id, key, actor=asked.actor)
    _remove_unheld(asked)


def _remove_unheld(asked: Asked) -> None:
    remove_unheld(served_home.home(), asked.token.tenant_id)


def _teams(asked: Asked) -> list[Resource[Any]]:
    return [team_of(each, asked.base) for each in served_home.access().groups(asked.token.tenant_id)]


def _team(asked: Asked, key: str) -> Resource[Any]:
    return team_of(served_home.access().group(asked.token.tenant_id, key), asked.base)


def _write_team(asked: Asked, key: str | None, team: Group) -> Resource[Any]:
    members = {member.value for member in team.members or () if member.value}
    try:
        group = served_home.access().put_group(
            asked.token.tenant_id,
            key,
            name=team.display_name or "",
            external_id=team.external_id,
            members=members,
            actor=asked.actor,
        )
    except Unknown as error:
        raise Refusal(HTTPStatus.BAD_REQUEST, f"a member is not known: {error}", "invalidValue") from None
    _remove_unheld(asked)
    return team_of(group, asked.base)


def _remove_team(asked: Asked, key: str) -> None:
    served_home.access().remove_group(asked.token.tenant_id, key, actor=asked.actor)
    _remove_unheld(asked)


_KINDS = {
    "Users": _Kind(
        model=User, every=_people, read=_person, write=_write_person, remove=_remove_person, complete=completed
    ),
    "Groups": _Kind(model=Group, every=_teams, read=_team, write=_write_team, remove=_remove_team),
}


def _collection(asked: Asked, kind: _Kind) -> Response:
    match asked.method:
        case "GET":
            return _listed(asked, (kind,), dict(asked.query))
        case "POST":
            sent = kind.model.model_validate(
                kind.complete(_json(asked), None), scim_ctx=Context.RESOURCE_CREATION_REQUEST
            )
            made = kind.write(asked, None, sent)
            return _response(made, HTTPStatus.CREATED, Context.RESOURCE_CREATION_RESPONSE, _parameters(asked, kind))
    raise _not_here("GET", "POST")


def _searched(asked: Asked, *kinds: _Kind) -> Response:
    if asked.method != "POST":
        raise _not_here("POST")
    return _listed(asked, kinds, _json(asked))


def _listed(asked: Asked, kinds: Sequence[_Kind], wanted: Mapping[str, Any]) -> Response:
    """A page of the resources that fit a filter, in order. Whom a list named is a row of the audit."""
    models: Any = reduce(or_, (kind.model for kind in kinds))
    search = SearchRequest[models].model_validate(dict(wanted), scim_ctx=Context.SEARCH_REQUEST)
    everything = [each for kind in kinds for each in kind.every(asked)]
    every = [each for each in everything if search.filter is None or search.filter.match(each)]
    first = search.start_index_0 or 0
    count = MOST_RESULTS if search.count is None else min(search.count, MOST_RESULTS)
    page = search.sort(every)[first : first + count]
    _record(asked, {"lists": [kind.model.__name__ for kind in kinds], "rows": len(page)}, "done")
    answer = ListResponse[models](
        total_results=len(every), start_index=first + 1, items_per_page=len(page), resources=page
    )
    return _response(answer, parameters=search)


def _parameters(asked: Asked, kind: _Kind) -> ResponseParameters[Any]:
    wanted = {name: asked.query[name] for name in ("attributes", "excludedAttributes") if name in asked.query}
    return ResponseParameters[kind.model].model_validate(wanted)  # type: ignore[name-defined]


def _one(asked: Asked, kind: _Kind, key: str) -> Response:
    if asked.method == "GET":
        now = kind.read(asked, key)
        version = _version(now)
        _record_read(asked, kind, key)
        if asked.headers.get("if-none-match") == version:
            return Response(status_code=304, headers={"etag": version})
        return _response(now, parameters=_parameters(asked, kind))
    with _CHANGES, served_home.access().waited_for(SCIM_LOCK):
        return _changed(asked, kind, key)


def _record_read(asked: Asked, kind: _Kind, key: str) -> None:
    _record(asked, {"reads": kind.model.__name__, "id": key}, "done")


def _version(resource: Resource[Any]) -> str:
    return str(resource.meta.version) if resource.meta else ""


def _changed(asked: Asked, kind: _Kind, key: str) -> Response:
    now = kind.read(asked, key)
    version = _version(now)
    if asked.headers.get("if-match", version) not in (version, "*"):
        raise Refusal(HTTPStatus.PRECONDITION_FAILED, "it was changed meanwhile; read it again")
    match asked.method:
        case "PUT":
            whole = kind.complete(_json(asked), now)
            sent = kind.model.model_validate(whole, scim_ctx=Context.RESOURCE_REPLACEMENT_REQUEST)
            sent.replace(now)
        case "PATCH":
            patch = PatchOp[kind.model].model_validate(_json(asked), scim_ctx=Context.RESOURCE_PATCH_REQUEST)  # type: ignore[name-defined]
            sent = now.model_copy(deep=True)
            patch.patch(sent)
        case "DELETE":
            kind.remove(asked, key)
            return Response(status_code=204)
        case _:
            raise _not_here("GET", "PUT", "PATCH", "DELETE")
    context = Context.RESOURCE_REPLACEMENT_RESPONSE if asked.method == "PUT" else Context.RESOURCE_PATCH_RESPONSE
    written = kind.write(asked, key, sent)
    if _version(written) == version:
        # Nothing changed, so no row of a change says whom this answer shows.
        _record_read(asked, kind, key)
    return _response(written, context=context, parameters=_parameters(asked, kind))


def _json(asked: Asked) -> dict[str, Any]:
    try:
        sent = json.loads(asked.body)
    except (ValueError, RecursionError):
        raise Refusal(HTTPStatus.BAD_REQUEST, "the body is not JSON", "invalidSyntax") from None
    if not isinstance(sent, dict):
        raise Refusal(HTTPStatus.BAD_REQUEST, "the body is not an object", "invalidSyntax")
    return sent
