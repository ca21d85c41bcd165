"""The API: what may be asked, in OpenAPI. It answers from readers as the pages do and holds no figure and no right itself."""

from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import FileResponse, Response
from starlette.background import BackgroundTask
from starlette.types import ASGIApp, Receive, Scope, Send

from dashboards import served_home
from dashboards.api import LARGEST_BODY, PREFIX, models, operations, problems
from dashboards.api.answers import FORMS, cell, columns_of, other_form, page_of, rows_of, stand_of
from dashboards.api.problems import ApiError, described
from dashboards.api.who import Asking, Who
from serving.extracts import extract
from serving.filter_values import checked_filters
from serving.people.api_tokens import EXTRACTS, FIGURES, ROWS
from serving.reader import Reader, open_reader

DESCRIPTION = (
    "Figures, the rows behind them, and extracts, within the rights of one person. Every question is a row of the audit. "
    "Send `Authorization: Bearer TOKEN`. Errors are RFC 9457 problems."
)
_ALWAYS = described(
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.CONFLICT,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)
_WITH_BODY = described(HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
PageSize = Annotated[int, Query(ge=1, le=1_000)]
First = Annotated[int, Query(ge=0, le=10_000_000)]


class Door:
    """ASGI middleware: leads everything below PREFIX to the API and nothing else. A route would leave out paths with a line break,
    and the pages would answer those."""

    def __init__(self, app: ASGIApp) -> None:
        self.app, self.api = app, create_api()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(f"{PREFIX}/"):
            await self.api({**scope, "root_path": scope.get("root_path", "") + PREFIX}, receive, send)
        else:
            await self.app(scope, receive, send)


class LimitedBody:
    """ASGI middleware: a request whose body is larger than LARGEST_BODY is refused before more of it is read."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return
            body, more = body + message.get("body", b""), message.get("more_body", False)
            if len(body) > LARGEST_BODY:
                detail = f"the body is larger than {LARGEST_BODY // 1024} kB"
                error = ApiError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-large", detail)
                await problems.response_of(error)(scope, receive, send)
                return
        is_given = False

        async def whole() -> dict[str, Any]:
            nonlocal is_given
            if is_given:
                return dict(await receive())
            is_given = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(scope, whole, send)


def _reader(who: Asking, right: str, as_of: str | None = None) -> Reader:
    who.must_be_allowed(right)
    return open_reader(served_home.home(), who.principal, as_of=as_of)


def _status(who: Who) -> models.Status:
    """Who asks, with which token, and how the tenant's data stand."""
    with _reader(who, FIGURES) as reader:
        last = reader.last_run
        return models.Status(
            stand=stand_of(reader),
            person=who.principal.email,
            role=who.principal.role.value,
            allowed=list(who.token.allowed),
            token_expires_at=who.token.expires_at,
            last_run_outcome=last.outcome if last else None,
            last_run_at=last.at if last else None,
            alerts=[str(message) for message in reader.alerts()["message"]],
        )


def _metrics(who: Who, module: models.Name | None = None, limit: PageSize = 100, offset: First = 0) -> models.Metrics:
    """The metrics that the person may ask for, by name."""
    with _reader(who, FIGURES) as reader:
        return operations.metrics(reader, module=module or "", limit=limit, offset=offset)


def _one_metric(who: Who, name: str) -> models.Metric:
    """One metric in words."""
    with _reader(who, FIGURES) as reader:
        return operations.metric(reader, name)


def _members(who: Who, name: str, limit: PageSize = 100, offset: First = 0) -> models.Members:
    """The values of a dimension within the person's scope, by name."""
    with _reader(who, FIGURES) as reader:
        return operations.members(reader, name, limit=limit, offset=offset)


def _query(who: Who, question: models.Question, request: Request) -> Any:
    """Figures by dimension and time. Rates are fractions; a null has no denominator or is hidden as a small cell."""
    with _reader(who, FIGURES, question.as_of) as reader:
        frame, page = operations.figures(reader, question)
        return other_form(request, frame, page) or models.Answer(
            stand=stand_of(reader), page=page, columns=columns_of(frame), rows=rows_of(frame)
        )


def _drill(who: Who, question: models.RowsQuestion, request: Request) -> Any:
    """The rows behind a figure. Their count or sum is the figure; people are shown as the role may see them."""
    with _reader(who, ROWS, question.as_of) as reader:
        where = checked_filters(reader, question.where)
        drilled = reader.drill(
            question.metric,
            where,
            question.date_from,
            question.date_to,
            limit=question.limit,
            offset=question.offset,
            restated=question.restated,
        )
        stand = stand_of(reader)
    page = page_of(drilled.total_rows, question.offset, drilled.frame.height)
    return other_form(request, drilled.frame, page) or models.RowsAnswer(
        stand=stand,
        page=page,
        columns=columns_of(drilled.frame),
        rows=rows_of(drilled.frame),
        figure_of=drilled.figure_of,
        total_value=cell(drilled.total_value),
        table=drilled.table,
        value_column=drilled.value_column,
    )


def _passport(who: Who, question: models.PassportQuestion) -> models.Passport:
    """A figure with its definition, parts, interval, feeds and doubts."""
    with _reader(who, FIGURES, question.as_of) as reader:
        return operations.passport(reader, question)


def _extract(who: Who) -> Response:
    """The person's extract: an encrypted DuckDB file. Its key stands in the header `Clinicmart-Extract-Key` and nowhere else."""
    who.must_be_allowed(EXTRACTS)
    folder = TemporaryDirectory(prefix="clinicmart-extract-", ignore_cleanup_errors=True)
    try:
        file = Path(folder.name) / f"{who.principal.tenant_id}.duckdb"
        report = extract(served_home.home(), who.principal, file)
    except BaseException:
        folder.cleanup()
        raise
    return FileResponse(
        file,
        media_type="application/vnd.duckdb",
        filename=file.name,
        headers={"clinicmart-extract-key": report.key, "clinicmart-version": report.version},
        background=BackgroundTask(folder.cleanup),
    )


def create_api() -> FastAPI:
    """The application behind PREFIX. Its OpenAPI document stands at `/openapi.json` and holds no data, so it is open to all."""
    api = FastAPI(
        title="Clinicmart",
        version="1",
        description=DESCRIPTION,
        openapi_url="/openapi.json",
        # Their pages load scripts from other hosts.
        docs_url=None,
        redoc_url=None,
        servers=[{"url": PREFIX}],
        responses=_ALWAYS,
    )
    problems.install(api)

    @api.exception_handler(operations.UnknownMetric)
    async def _unknown(_: Request, error: Exception) -> Response:
        return problems.response_of(ApiError(HTTPStatus.NOT_FOUND, "not-found", str(error)))

    api.add_middleware(LimitedBody)
    api.get("/status", operation_id="status")(_status)
    api.get("/metrics", operation_id="list_metrics")(_metrics)
    api.get("/metrics/{name}", operation_id="get_metric")(_one_metric)
    api.get("/dimensions/{name}/values", operation_id="list_dimension_values")(_members)
    api.post("/query", operation_id="query", response_model=models.Answer, responses=FORMS | _WITH_BODY)(_query)
    api.post("/drill", operation_id="drill", response_model=models.RowsAnswer, responses=FORMS | _WITH_BODY)(_drill)
    api.post("/passport", operation_id="passport", responses=_WITH_BODY)(_passport)
    file: dict[int | str, dict[str, Any]] = {
        200: {
            "description": "The file.",
            "content": {"application/vnd.duckdb": {"schema": {"type": "string", "format": "binary"}}},
        }
    }
    api.post("/extracts", operation_id="extract", response_class=Response, responses=file)(_extract)
    api.openapi = lambda: _document(api)  # type: ignore[method-assign]
    return api


def _document(api: FastAPI) -> dict[str, Any]:
    """The OpenAPI document; problems have their own media type in it."""
    if api.openapi_schema is None:
        document = get_openapi(
            title=api.title, version=api.version, description=api.description, routes=api.routes, servers=api.servers
        )
        for path in document["paths"].values():
            for operation in path.values():
                for status, answer in operation["responses"].items():
                    content = answer.get("content", {})
                    if int(status) >= HTTPStatus.BAD_REQUEST and "application/json" in content:
                        content[problems.MEDIA_TYPE] = content.pop("application/json")
        api.openapi_schema = document
    return api.openapi_schema
