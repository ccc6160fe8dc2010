"""Log lines are JSON, contain the id of their request and never fail."""

import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from fastapi import BackgroundTasks, FastAPI, WebSocket
from fastapi.concurrency import run_in_threadpool
from fastapi.testclient import TestClient

from app.forge.observability.logs import JsonFormatter, configure_logging
from app.main import create_app
from app.settings import Settings

AXES: tuple[str, ...] = ("deployment",)

logger = logging.getLogger("service")

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Yield a function that returns all lines of the loggers of the service and its access log."""
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    loggers = [logger, logging.getLogger("app")]
    for each in loggers:
        each.addHandler(handler)
        each.setLevel("INFO")
    yield lambda: [json.loads(line) for line in stream.getvalue().split("\n")[:-1]]
    for each in loggers:
        each.removeHandler(handler)
        each.setLevel("NOTSET")


@pytest.fixture(autouse=True)
def _websockets_are_open(monkeypatch: pytest.MonkeyPatch) -> None:
    # The test client needs no library.
    monkeypatch.setattr("app.forge.http.websockets.find_spec", lambda _name: True)


@pytest.fixture
def logging_app(settings: Settings) -> FastAPI:
    """Return the service with routes that log, each differently."""
    app = create_app(settings)

    @app.get("/handler")
    async def log_in_handler() -> None:
        logger.info("handler")

    @app.get("/thread")
    def log_in_thread() -> None:
        logger.info("thread")

    @app.get("/pool")
    async def log_in_pool() -> None:
        await run_in_threadpool(logger.info, "pool")

    @app.get("/background")
    async def log_in_background(tasks: BackgroundTasks) -> None:
        tasks.add_task(logger.info, "background")

    @app.websocket("/websocket")
    async def log_in_websocket(websocket: WebSocket) -> None:
        await websocket.accept()
        logger.info("websocket")
        await websocket.close()

    return app


@pytest.mark.parametrize("path", ["/handler", "/thread", "/pool", "/background"])
def test_a_line_has_the_id_of_its_request(logging_app: FastAPI, lines: Lines, path: str) -> None:
    with TestClient(logging_app) as client:
        for request_id in ("one", "two"):
            client.get(path, headers={"X-Request-ID": request_id})
    assert [line["request_id"] for line in lines() if line["logger"] == "service"] == ["one", "two"]


def test_a_line_has_the_id_of_its_websocket(logging_app: FastAPI, lines: Lines) -> None:
    with TestClient(logging_app) as client, client.websocket_connect("/websocket"):
        pass
    (line,) = [line for line in lines() if line["logger"] == "service"]
    assert len(line["request_id"]) == 32


def test_a_line_outside_of_requests_has_no_id(lines: Lines) -> None:
    logger.info("outside")
    assert "request_id" not in lines()[0]


class Broken:
    """A value that cannot even be printed."""

    def __repr__(self) -> str:
        raise RuntimeError


ITSELF: list[Any] = []
ITSELF.append(ITSELF)
EXTRA = [
    ("order_id", 7, 7),
    ("ratio", 0.5, 0.5),
    ("flag", False, False),
    ("nothing", None, None),
    ("words", ["a", {"b": 1}], ["a", {"b": 1}]),
    ("text", 'a"\n\u2028é', 'a"\n\u2028é'),
    ("uuid", UUID(int=0), f"UUID('{UUID(int=0)}')"),
    ("at", datetime(2026, 11, 27, tzinfo=UTC), repr(datetime(2026, 11, 27, tzinfo=UTC))),
    ("keys", {(1, 2): 3}, "{(1, 2): 3}"),
    ("nan", float("nan"), "nan"),
    ("itself", ITSELF, "[[...]]"),
    ("broken", Broken(), "<Broken whose repr raised RuntimeError>"),
    ("time", "noon", None),
    ("level", 3, None),
    ("logger", "mine", None),
    ("stack", "a stack", "a stack"),
]


@pytest.mark.parametrize(("name", "value", "written"), EXTRA)
def test_any_extra_field_arrives(lines: Lines, name: str, value: object, written: object) -> None:
    logger.info("with more", extra={name: value})
    (line,) = lines()
    is_taken = name in {"time", "level", "logger"}
    assert line[f"{name}_" if is_taken else name] == (value if is_taken else written)
    assert (line["level"], line["logger"], line["message"]) == ("INFO", "service", "with more")


def test_arguments_that_do_not_fit_the_message_are_appended() -> None:
    record = logging.makeLogRecord({"msg": "%d items", "args": ("many",)})
    assert json.loads(JsonFormatter().format(record))["message"] == "%d items ('many',)"


def test_errors_and_stacks_are_in_the_line(lines: Lines) -> None:
    try:
        raise ValueError("a reason")
    except ValueError:
        logger.exception("failed", stack_info=True)
    (line,) = lines()
    assert "ValueError: a reason" in line["exception"]
    assert "test_errors_and_stacks" in line["stack"]


@contextmanager
def bare_logging() -> Iterator[logging.Logger]:
    """Remove all logging configuration, even that of pytest."""
    root, hook = logging.getLogger(), sys.excepthook
    handlers, level = root.handlers, root.level
    root.handlers = []
    try:
        yield root
    finally:
        root.handlers, sys.excepthook = handlers, hook
        root.setLevel(level)


def test_uncaught_errors_are_logged(capsys: pytest.CaptureFixture[str]) -> None:
    with bare_logging():
        configure_logging()
        sys.excepthook(ValueError, ValueError("a reason"), None)
    line = json.loads(capsys.readouterr().err)
    assert (line["level"], line["exception"]) == ("CRITICAL", "ValueError: a reason")


def test_the_level_is_the_one_configured_last() -> None:
    with bare_logging() as root:
        configure_logging()
        configure_logging("ERROR")
        assert (len(root.handlers), root.level) == (1, logging.ERROR)


def test_logging_that_was_set_up_before_stays() -> None:
    with bare_logging() as root:
        root.addHandler(own := logging.NullHandler())
        configure_logging("ERROR")
        assert root.handlers == [own]
        assert root.level != logging.ERROR


@pytest.fixture
def logged(settings: Settings, lines: Lines) -> Iterator[tuple[TestClient, Lines]]:
    """Yield a client of a service with an access log, and its lines."""
    app = create_app(settings.model_copy(update={"access_log": True}))

    @app.get("/broken")
    async def read_broken() -> None:
        raise RuntimeError("a reason")

    @app.websocket("/websocket")
    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("hello")
        await websocket.close()

    def access_lines() -> list[dict[str, Any]]:
        return [line for line in lines() if line["logger"] == "app.forge.observability.access_log"]

    with TestClient(app, raise_server_exceptions=False) as client:
        yield client, access_lines


def test_the_access_log_has_a_line_for_each_request(logged: tuple[TestClient, Lines]) -> None:
    client, lines = logged
    answer = client.get("/api/v1/items/1?token=secret", headers={"X-Request-ID": "mine"})
    (line,) = lines()
    assert line["milliseconds"] > 0
    assert "secret" not in json.dumps(line)
    assert (
        line
        | {
            "message": "GET /api/v1/items/1 422",
            "request_id": "mine",
            "method": "GET",
            "path": "/api/v1/items/1",
            "route": "/api/v1/items/{row_id}",
            "status": 422,
            "bytes": len(answer.content),
            "client": "testclient",
        }
        == line
    )


def test_the_access_log_has_failures_and_unknown_paths(logged: tuple[TestClient, Lines]) -> None:
    client, lines = logged
    for path in ("/broken", "/nowhere"):
        client.get(path)
    assert [(line["path"], line["status"]) for line in lines()] == [("/broken", 500), ("/nowhere", 404)]


def test_the_access_log_has_websockets(logged: tuple[TestClient, Lines]) -> None:
    client, lines = logged
    with client.websocket_connect("/websocket") as websocket:
        websocket.receive_text()
    (line,) = lines()
    assert (line["method"], line["status"], line["bytes"]) == ("WEBSOCKET", 101, 5)


def test_without_the_setting_there_is_no_access_log(client: TestClient, lines: Lines) -> None:
    client.get("/health/live")
    assert [line for line in lines() if line["logger"] == "app.forge.observability.access_log"] == []
