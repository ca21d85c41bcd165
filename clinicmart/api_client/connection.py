"""How the client asks: a token, a path of the API, and an answer or a problem."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from .models import Problem

PREFIX = "/api/v1"
JSON, CSV, ARROW = "application/json", "text/csv", "application/vnd.apache.arrow.stream"
Answered = TypeVar("Answered", bound=BaseModel)


class ApiProblemError(Exception):
    """The API refused or failed. `retry_after_seconds`: how long to wait where there were too many questions, else None."""

    def __init__(self, problem: Problem, retry_after_seconds: int | None) -> None:
        super().__init__(problem.detail)
        self.problem, self.retry_after_seconds = problem, retry_after_seconds


@dataclass(frozen=True, kw_only=True)
class Extract:
    """An encrypted DuckDB file. Nobody keeps `key`: store it apart from the file."""

    content: bytes = field(repr=False)
    key: str = field(repr=False)
    version: str


@dataclass(frozen=True, kw_only=True)
class Table:
    """A part of an answer as a table. `content` holds as many rows as the question's `limit` allows of `total_rows`; the next part is
    asked for with `offset` = `next_offset`, which is None for the last part."""

    content: bytes = field(repr=False)
    total_rows: int
    next_offset: int | None


class Connection:
    """Asks one tenant's API in the name of the person whose token it has. Usable as a context manager."""

    def __init__(
        self, address: str, token: str, *, timeout_seconds: float = 60, transport: httpx.BaseTransport | None = None
    ) -> None:
        """`address` is that of the tenant's pages, such as `https://harbor.clinics.example`."""
        self._http = httpx.Client(
            base_url=address.rstrip("/") + PREFIX,
            headers={"authorization": f"Bearer {token}"},
            timeout=timeout_seconds,
            transport=transport,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections to the server."""
        self._http.close()

    def _ask(
        self,
        method: str,
        path: str,
        *,
        form: str,
        body: BaseModel | None = None,
        parameters: Mapping[str, object] | None = None,
    ) -> httpx.Response:
        """The answer. Raises ApiProblemError for a refusal, httpx.HTTPError where the server cannot be reached."""
        sent = {name: str(value) for name, value in (parameters or {}).items() if value is not None}
        content = None if body is None else body.model_dump_json(exclude_none=True, exclude_unset=True)
        headers = {"accept": form} | ({} if content is None else {"content-type": JSON})
        answer = self._http.request(method, path, params=sent, content=content, headers=headers)
        if not answer.is_success:
            raise _problem_of(answer)
        return answer

    def _model(
        self,
        kind: type[Answered],
        method: str,
        path: str,
        *,
        body: BaseModel | None = None,
        parameters: Mapping[str, object] | None = None,
    ) -> Answered:
        return kind.model_validate_json(self._ask(method, path, form=JSON, body=body, parameters=parameters).content)

    def _table(self, method: str, path: str, *, form: str, body: BaseModel) -> Table:
        answer = self._ask(method, path, form=form, body=body)
        next_offset = answer.headers.get("clinicmart-next-offset")
        return Table(
            content=answer.content,
            total_rows=int(answer.headers["clinicmart-total-rows"]),
            next_offset=None if next_offset is None else int(next_offset),
        )

    def _file(self, path: str) -> Extract:
        answer = self._ask("POST", path, form="*/*")
        return Extract(
            content=answer.content,
            key=answer.headers["clinicmart-extract-key"],
            version=answer.headers["clinicmart-version"],
        )


def _problem_of(answer: httpx.Response) -> ApiProblemError:
    try:
        problem = Problem.model_validate_json(answer.content)
    except ValidationError:
        # Not from the API, but from something before it.
        problem = Problem(
            type="/problems/unknown",
            title=answer.reason_phrase,
            status=answer.status_code,
            detail=f"the server answered {answer.status_code} {answer.reason_phrase}",
        )
    wait = answer.headers.get("retry-after", "")
    return ApiProblemError(problem, int(wait) if wait.isdigit() else None)
