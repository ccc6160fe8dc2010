"""Every error as the service answers it: problem details (RFC 9457)."""

import json
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from app.errors import ServiceError, Unavailable
from app.routing import allowed_methods

RETRY_AFTER_SECONDS = 1
# Python 3.13 has given 413 the name of RFC 9110; this one works in all.
CONTENT_TOO_LARGE = HTTPStatus(413)


class InvalidField(BaseModel):
    """Where a request is invalid, and why."""

    loc: list[str | int]
    msg: str


class Problem(BaseModel):
    """Problem details (RFC 9457); `errors` is there for invalid requests only."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    errors: list[InvalidField] | None = None


def problem_response(
    request_id: str,
    status: HTTPStatus,
    detail: str,
    *,
    type_: str = "about:blank",
    headers: dict[str, str] | None = None,
    **members: Any,
) -> Response:
    """Return the problem as a response; `members` are added to its JSON."""
    problem = {
        "type": type_,
        "title": status.phrase,
        "status": status.value,
        "detail": detail,
        "request_id": request_id,
        **members,
    }
    # ASCII output, so that a lone surrogate in a client's text cannot break the answer.
    body = json.dumps(problem).encode()
    return Response(body, status, headers, media_type="application/problem+json")


async def _answer_service_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if isinstance(error, Unavailable) else None
    request_id: str = request.state.request_id
    return problem_response(request_id, error.status, error.detail, type_=error.type, headers=headers)


async def _answer_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    headers = dict(error.headers or {})
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = _allowed_methods(request, headers)
    return problem_response(request.state.request_id, status, str(error.detail), headers=headers)


def _allowed_methods(request: Request, given: dict[str, str]) -> str:
    # The router names the methods of the first route of a path only.
    methods = allowed_methods(request.app.router, request.scope)
    # A router inside of a mount has no routes of the application's; it names its own.
    methods = methods or {method.strip() for method in given.get("Allow", "").split(",") if method}
    return ", ".join(sorted(methods | {"HEAD"} if "GET" in methods else methods))


async def _answer_invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    # The client's input is not repeated: it may hold secrets, and NaN or surrogates are no JSON.
    errors = [{"loc": list(fault["loc"]), "msg": fault["msg"]} for fault in error.errors()]
    where = ".".join(str(part) for part in errors[0]["loc"])
    detail = f"{where}: {errors[0]['msg']}"
    return problem_response(request.state.request_id, HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=errors)


async def answer_unexpected_error(request: Request, _error: Exception) -> Response:
    """Return a problem that keeps the reason to itself."""
    detail = "The service failed unexpectedly. The log has the reason under this request id."
    return problem_response(request.state.request_id, HTTPStatus.INTERNAL_SERVER_ERROR, detail)


def add_error_handlers(app: FastAPI) -> None:
    """Answer every expected error as a problem; unexpected ones are answered by `RequestIdMiddleware`."""
    app.add_exception_handler(ServiceError, _answer_service_error)
    app.add_exception_handler(HTTPException, _answer_http_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid_request)


def problems(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route that documents these problems in OpenAPI."""
    return {
        status.value: {
            "description": status.phrase,
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }
