"""WebSockets: errors before and after they are accepted."""

import logging
from collections.abc import Iterator

import pytest
from fastapi import APIRouter, FastAPI, HTTPException, WebSocket
from fastapi.testclient import TestClient
from starlette.testclient import WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

from app.forge.errors import NotFound, Unavailable
from app.forge.http.websockets import NoWebSocketLibrary, require_websocket_library

AXES: tuple[str, ...] = ("app_compression",)

ERRORS = {
    "http": HTTPException(401, "Who are you?", {"WWW-Authenticate": "Bearer"}),
    "missing": NotFound("No such room."),
    "unavailable": Unavailable("Not now."),
    "unexpected": ValueError("a secret"),
}


@pytest.fixture
def chat(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """Yield a client of the service with WebSockets that raise an error."""

    @app.websocket("/before/{error}")
    async def fail_before(_websocket: WebSocket, error: str) -> None:
        raise ERRORS[error]

    @app.websocket("/after/{error}")
    async def fail_after(websocket: WebSocket, error: str) -> None:
        await websocket.accept()
        raise ERRORS[error]

    @app.websocket("/echo")
    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(await websocket.receive_text())
        await websocket.close(1000)

    # The test client needs no library.
    monkeypatch.setattr("app.forge.http.websockets.find_spec", lambda _name: True)
    with TestClient(app) as client:
        yield client


def test_an_accepted_websocket_has_a_request_id(chat: TestClient) -> None:
    with chat.websocket_connect("/echo", headers={"X-Request-ID": "my.own-id"}) as websocket:
        websocket.send_text("hello")
        assert websocket.receive_text() == "hello"
        assert (b"x-request-id", b"my.own-id") in (websocket.extra_headers or ())


@pytest.mark.parametrize(
    ("error", "status"), [("http", 401), ("missing", 404), ("unavailable", 503), ("unexpected", 500)]
)
def test_an_error_before_it_is_accepted_is_a_problem(chat: TestClient, error: str, status: int) -> None:
    with pytest.raises(WebSocketDenialResponse) as denied, chat.websocket_connect(f"/before/{error}"):
        pass
    problem = denied.value.json()
    assert (denied.value.status_code, problem["status"]) == (status, status)
    assert denied.value.headers["content-type"] == "application/problem+json"
    assert denied.value.headers["x-request-id"] == problem["request_id"]
    assert "secret" not in denied.value.text


def test_a_websocket_that_does_not_exist_is_refused_with_a_problem(chat: TestClient) -> None:
    with pytest.raises(WebSocketDenialResponse) as denied, chat.websocket_connect("/nowhere"):
        pass
    assert (denied.value.status_code, denied.value.json()["status"]) == (403, 403)


@pytest.mark.parametrize(
    ("error", "code"), [("http", 1008), ("missing", 1008), ("unavailable", 1013), ("unexpected", 1011)]
)
def test_an_error_after_it_was_accepted_closes_it(chat: TestClient, error: str, code: int) -> None:
    with chat.websocket_connect(f"/after/{error}") as websocket, pytest.raises(WebSocketDisconnect) as closed:
        websocket.receive_text()
    assert closed.value.code == code


def test_an_unexpected_error_is_logged_once(chat: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    with (
        chat.websocket_connect("/after/unexpected") as websocket,
        pytest.raises(WebSocketDisconnect) as closed,
    ):
        websocket.receive_text()
    records = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record.__dict__["request_id"] for record in records] == [closed.value.reason]


def test_handshakes_are_counted_by_route_and_status(chat: TestClient) -> None:
    with pytest.raises(WebSocketDenialResponse), chat.websocket_connect("/before/missing"):
        pass
    labels = 'http_response_status_code="404",http_route="/before/{error}"'
    assert f"websocket_handshakes_total{{{labels}}} " in chat.get("/metrics").text


def test_a_websocket_without_a_library_is_named_at_startup(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.forge.http.websockets.find_spec", lambda _name: None)
    require_websocket_library(app)
    router = APIRouter(prefix="/rooms")
    inner = FastAPI()
    inner.include_router(router)

    @router.websocket("/{room}")
    async def chat(websocket: WebSocket) -> None:
        await websocket.accept()

    app.mount("/inner", inner)
    with pytest.raises(
        NoWebSocketLibrary, match=r"The WebSocket at /inner/rooms/\{room\} needs .* websockets"
    ):
        require_websocket_library(app)
