"""Errors of a route become problem details, with the status of any FastAPI service, on both paths."""

import logging
import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from fastapi import Body, Depends, FastAPI, HTTPException, Response
from fastapi.exceptions import RequestValidationError, ResponseValidationError
from fastapi.testclient import TestClient
from starlette.datastructures import Headers

AXES: tuple[str, ...] = ("app_compression",)

PROBLEM = "application/problem+json"
WAYS = ["/directly", "/with-dependency", "/from-dependency"]
OBJECTS = [
    {"code": "out_of_stock", "left": 0, "items": [None, True, 1.5]},
    [],
    {},
    [{"loc": ["body", 1], "msg": "käse \U0001f9c0"}],
    0,
    False,
    "a lone surrogate: \ud800",
    "<script>\x00\x7f\u2028",
    {"\ud800": "\udfff"},
]
NOT_JSON = [math.nan, math.inf, {"at": datetime(2026, 1, 1, tzinfo=UTC)}, {uuid4()}, b"bytes", object()]


class Raised:
    """The exception that the routes raise next."""

    error: Exception


@pytest.fixture(scope="module")
def raised(running: TestClient) -> Raised:
    """Add a route for each path through the service, and return what they raise."""
    app, raised = running.app, Raised()
    assert isinstance(app, FastAPI)

    async def pass_by() -> None: ...

    async def fail() -> None:
        raise raised.error

    @app.get("/directly")
    async def fail_directly() -> Response:
        raise raised.error

    @app.get("/with-dependency", dependencies=[Depends(pass_by)])
    def fail_in_a_thread() -> None:
        raise raised.error

    @app.get("/from-dependency", dependencies=[Depends(fail)])
    async def never_called() -> None: ...

    return raised


@pytest.fixture(params=WAYS)
def answer(request: pytest.FixtureRequest, running: TestClient, raised: Raised) -> Callable[[Exception], Any]:
    """The response to one error."""

    def answer(error: Exception) -> Any:
        raised.error = error
        answer = running.get(request.param)
        # After any error, the connection serves the next request.
        assert running.get("/health/live").status_code == 200
        return answer

    return answer


@pytest.mark.parametrize("status", [200, 201, 202, 206, 300, 400, 401, 404, 418, 422, 499, 500, 520, 599])
def test_any_status_with_a_body_is_returned_unchanged(answer: Any, status: int) -> None:
    told = answer(HTTPException(status, "Said so.", headers={"X-Why": "because"}))
    assert (told.status_code, told.headers["content-type"]) == (status, PROBLEM)
    assert (told.json()["status"], told.json()["detail"]) == (status, "Said so.")
    assert told.json()["title"]
    assert told.headers["x-why"] == "because"


@pytest.mark.parametrize("status", [204, 205, 304])
def test_a_status_without_a_body_has_none(answer: Any, status: int) -> None:
    told = answer(HTTPException(status, "Unheard.", headers={"ETag": '"1"'}))
    assert (told.status_code, told.content, told.headers["etag"]) == (status, b"", '"1"')
    assert "content-type" not in told.headers
    assert told.headers.get("content-length", "0") == "0"


@pytest.mark.parametrize("status", [0, 99, 100, 101, 103, 199, 600, 999, 1000])
def test_a_status_that_is_not_a_response_is_an_error_of_the_service(
    answer: Any, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        told = answer(HTTPException(status))
    assert (told.status_code, told.headers["content-type"]) == (500, PROBLEM)
    assert f"A response cannot have the status {status}:" in caplog.text


@pytest.mark.parametrize("status", [404, 499])
def test_a_problem_without_a_detail_has_its_title_in_place(answer: Any, status: int) -> None:
    problem = answer(HTTPException(status)).json()
    assert problem["detail"] == problem["title"] != ""


@pytest.mark.parametrize("detail", OBJECTS, ids=ascii)
def test_a_detail_arrives_as_it_was_given(answer: Any, detail: Any) -> None:
    assert answer(HTTPException(409, detail)).json()["detail"] == detail


@pytest.mark.parametrize("detail", NOT_JSON, ids=lambda detail: type(detail).__name__)
def test_a_detail_that_is_not_json_is_an_error_of_the_service(
    answer: Any, detail: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        told = answer(HTTPException(409, detail))
    assert (told.status_code, told.headers["content-type"]) == (500, PROBLEM)
    assert "JSON" in caplog.text


def test_every_header_of_an_exception_is_sent(answer: Any) -> None:
    twice = Headers(raw=[(b"www-authenticate", b"Basic"), (b"www-authenticate", b"Bearer")])
    told = answer(HTTPException(401, headers=twice))
    assert told.headers.get_list("www-authenticate") == ["Basic", "Bearer"]


@pytest.mark.parametrize(
    ("faults", "detail"),
    [
        ([{"loc": ("body", 0, "name"), "msg": "Too short", "input": "secret"}], "body.0.name: Too short"),
        ([{"loc": (), "msg": "Wrong"}], "Wrong"),
        ([{"type": "own"}], "Unprocessable"),
        (["in words"], "in words"),
        ([], "Unprocessable"),
    ],
)
def test_an_invalid_request_that_a_route_finds_is_a_problem(
    answer: Any, faults: list[Any], detail: str
) -> None:
    told = answer(RequestValidationError(faults))
    assert (told.status_code, told.headers["content-type"]) == (422, PROBLEM)
    assert told.json()["detail"].startswith(detail)
    assert len(told.json()["errors"]) == len(faults)
    assert "secret" not in told.text


def test_an_invalid_response_is_an_error_of_the_service(
    answer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        told = answer(ResponseValidationError([{"loc": ("response",), "msg": "a secret", "input": "secret"}]))
    assert (told.status_code, told.headers["content-type"]) == (500, PROBLEM)
    assert "secret" not in told.text
    assert "ResponseValidationError" in caplog.text


def test_a_field_whose_name_is_not_text_is_still_named(running: TestClient) -> None:
    app = running.app
    assert isinstance(app, FastAPI)

    @app.post("/counts")
    async def count(counts: dict[str, int] = Body()) -> None: ...  # noqa: B008

    told = running.post("/counts", content=rb'{"\ud800": "x"}', headers={"Content-Type": "application/json"})
    assert told.status_code == 422
    assert told.json()["errors"]
