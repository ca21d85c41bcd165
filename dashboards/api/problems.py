"""Errors of the API: RFC 9457, one form for all of them."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from foundation.errors import AccessError, ConfigurationError, DamagedFileError
from serving.counters import PAGE_ERRORS
from serving.model import NothingPublished

MEDIA_TYPE = "application/problem+json"
# What of a wrong field is shown: never the value, which may be a record's.
MOST_FIELDS = 10


class Problem(BaseModel):
    """What went wrong, as RFC 9457 has it."""

    type: str = Field(description="A name of the kind that lasts, such as /problems/not-allowed.")
    title: str = Field(description="The kind in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What is wrong with this request and what to do.")


class ApiError(Exception):
    """An answer that is a problem. `headers` go with it."""

    def __init__(self, status: HTTPStatus, kind: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.kind, self.detail, self.headers = status, kind, detail, dict(headers or {})


def response_of(error: ApiError) -> JSONResponse:
    """The answer to a request that failed."""
    problem = Problem(
        type=f"/problems/{error.kind}", title=error.status.phrase, status=error.status.value, detail=error.detail
    )
    return JSONResponse(
        problem.model_dump(), status_code=error.status.value, media_type=MEDIA_TYPE, headers=error.headers
    )


def _of_question(error: Exception) -> ApiError:
    match error:
        case NothingPublished():
            return ApiError(HTTPStatus.CONFLICT, "nothing-published", str(error))
        case AccessError():
            return ApiError(HTTPStatus.FORBIDDEN, "not-allowed", str(error))
        case DamagedFileError():
            return ApiError(HTTPStatus.SERVICE_UNAVAILABLE, "damaged", str(error), {"retry-after": "60"})
        case _:
            return ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "wrong-question", str(error))


def _of_fields(error: RequestValidationError) -> ApiError:
    """Names the fields that are wrong, and why, without their values."""
    wrong = [
        f"{'.'.join(str(part) for part in item['loc'] if part != 'body') or 'the body'}: {item['msg']}"
        for item in error.errors()[:MOST_FIELDS]
    ]
    return ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "wrong-question", "; ".join(wrong))


def install(app: FastAPI) -> None:
    """Makes every error of the application a problem."""

    @app.exception_handler(ApiError)
    async def _api(_: Request, error: ApiError) -> JSONResponse:
        return response_of(error)

    @app.exception_handler(RequestValidationError)
    async def _fields(_: Request, error: RequestValidationError) -> JSONResponse:
        return response_of(_of_fields(error))

    @app.exception_handler(HTTPException)
    async def _http(_: Request, error: HTTPException) -> JSONResponse:
        status = HTTPStatus(error.status_code)
        headers = dict(error.headers or {})
        return response_of(ApiError(status, status.phrase.lower().replace(" ", "-"), str(error.detail), headers))

    for kind in (AccessError, ConfigurationError, DamagedFileError):

        @app.exception_handler(kind)
        async def _ours(_: Request, error: Exception) -> JSONResponse:
            return response_of(_of_question(error))

    @app.exception_handler(Exception)
    async def _any(_: Request, __: Exception) -> JSONResponse:
        # Its text may hold what was asked for; the server logs its kind and place.
        PAGE_ERRORS.inc()
        return response_of(
            ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, "failed", "The question failed. The server's log says where.")
        )


def described(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """The problems that an operation may answer with, for the OpenAPI document."""
    return {status.value: {"model": Problem, "description": status.phrase} for status in statuses}
