"""Error responses as problem details (RFC 9457)."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NotRequired

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.utils import is_body_allowed_for_status_code
from pydantic import ConfigDict, with_config
from starlette.exceptions import HTTPException
from typing_extensions import TypedDict

from app.forge.database import outages
from app.forge.errors import ServiceError, Unavailable
from app.forge.http.routing import allowed_methods

# The type of the argument `responses` of a route.
Responses = dict[int | str, dict[str, Any]]

RETRY_AFTER_SECONDS = 1
# Python 3.13 renamed the member for 413; the number works in every version.
CONTENT_TOO_LARGE = HTTPStatus(413)
# Titles for unregistered status codes, by their first digit: https://www.rfc-editor.org/rfc/rfc9110#section-15
KINDS = {2: "Successful", 3: "Redirection", 4: "Client Error", 5: "Server Error"}


class InvalidField(TypedDict):
    """An invalid part of a request: its location and a message."""

    loc: list[str | int]
    msg: str


@with_config(
    ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:problem:taken",
                    "title": "Conflict",
                    "status": 409,
                    "detail": "Another one has this name.",
                    "request_id": "7f9c24e8b1a04d2c9e3b5f60a1d2c3e4",
                    "field": "name",
                },
            ],
        },
    )
)
class Problem(TypedDict):
    """Problem details (RFC 9457). Invalid requests have `errors`; a unique value that is taken has `field`."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    errors: NotRequired[list[InvalidField]]
    field: NotRequired[str]


def title_of(status: int) -> str:
    """Return the phrase of the status, or the name of its class."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return KINDS.get(status // 100, "Error")


def problem_response(
    request_id: str,
    status: int,
    detail: object,
    *,
    type_: str = "about:blank",
    headers: Mapping[str, str] | None = None,
    **members: Any,
) -> Response:
    """Return the problem as a response; `members` are added to its JSON.

    RFC 9457 requires `detail` to be a string. Other values from a route are kept, as in any FastAPI service; clients
    that follow the RFC ignore them.
    """
    title = title_of(status)
    problem = {
        "type": type_,
        "title": title,
        "status": int(status),
        "detail": title if detail == "" else detail,
        "request_id": request_id,
        **members,
    }
    # ASCII output, so a lone surrogate in a client's text cannot break the response. NaN is not valid JSON.
    body = json.dumps(problem, allow_nan=False).encode()
    return Response(body, status, headers, media_type="application/problem+json")


async def _respond_to_service_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)
    headers = None
    if isinstance(error, Unavailable):
        outages.report(error.dependency, error)
        headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    request_id: str = request.state.request_id
    return problem_response(
        request_id, error.status, error.detail, type_=error.type, headers=headers, **error.members
    )


async def _respond_to_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = error.status_code
    if not is_body_allowed_for_status_code(status):
        return Response(status_code=status, headers=error.headers)
    response = problem_response(request.state.request_id, status, error.detail, headers=error.headers)
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        response.headers["Allow"] = _allowed_methods(request, response.headers.get("Allow", ""))
    return response


def _allowed_methods(request: Request, given: str) -> str:
    # The router lists only the methods of the first matching route.
    methods = allowed_methods(request.app.router, request.scope)
    # Inside a mount, the app's routes do not match, so keep the methods that the mounted router lists.
    methods = methods or {method.strip() for method in given.split(",") if method}
    return ", ".join(sorted(methods | {"HEAD"} if "GET" in methods else methods))


async def _respond_to_invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    faults = [_without_input(fault) for fault in error.errors()]
    return problem_response(
        request.state.request_id,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        _in_words(faults[0]) if faults else "",
        errors=faults,
    )


def _without_input(fault: Any) -> dict[str, Any]:
    """Return the location and message of an error. Its input may hold secrets, and may not be valid JSON."""
    # A route may raise the error itself, with any content.
    if not isinstance(fault, Mapping):
        return {"loc": [], "msg": str(fault)}
    return {"loc": list(fault.get("loc", ())), "msg": str(fault.get("msg", ""))}


def _in_words(fault: dict[str, Any]) -> str:
    where = ".".join(map(str, fault["loc"]))
    return f"{where}: {fault['msg']}" if where else fault["msg"]


async def answer_unexpected_error(request: Request, _error: Exception) -> Response:
    """Return problem details that do not reveal the cause."""
    detail = "The service failed unexpectedly. The log has the reason under this request id."
    return problem_response(request.state.request_id, HTTPStatus.INTERNAL_SERVER_ERROR, detail)


def add_error_handlers(app: FastAPI) -> None:
    """Respond to expected errors with problem details. `RequestIdMiddleware` handles unexpected ones."""
    app.add_exception_handler(ServiceError, _respond_to_service_error)
    app.add_exception_handler(HTTPException, _respond_to_http_error)
    app.add_exception_handler(RequestValidationError, _respond_to_invalid_request)


def problems(*statuses: HTTPStatus) -> Responses:
    """Return the `responses` argument of a route, which documents these problems in OpenAPI."""
    return {status.value: _problem(status) for status in statuses}


def _problem(status: HTTPStatus) -> dict[str, Any]:
    headers = ["Retry-After"] if status == HTTPStatus.SERVICE_UNAVAILABLE else []
    return {
        "description": status.phrase,
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in headers},
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


# The `responses` of routes of resources. Routes with validated input document `INVALID` automatically.
UNAVAILABLE = problems(HTTPStatus.SERVICE_UNAVAILABLE)
INVALID = problems(HTTPStatus.UNPROCESSABLE_ENTITY)
BAD_BODY = problems(HTTPStatus.BAD_REQUEST, CONTENT_TOO_LARGE)
NOT_FOUND = problems(HTTPStatus.NOT_FOUND)
CONFLICT = problems(HTTPStatus.CONFLICT)
PRECONDITION_FAILED = problems(HTTPStatus.PRECONDITION_FAILED)
