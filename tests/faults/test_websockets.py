"""WebSockets that an owner adds to their service, on every deployment, with a real client."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.faults.clients import new_client
from tests.faults.deployment import Deployment

pytestmark = pytest.mark.depends("deployment", once=("compression",))

ROUTES = """
from fastapi import Depends, FastAPI, HTTPException, WebSocket, WebSocketException

from app.forge.errors import NotFound, Unavailable


def fail(error: str) -> None:
    if error == "http":
        raise HTTPException(401, "Who are you?", {"WWW-Authenticate": "Bearer"})
    if error == "service":
        raise NotFound("No such room.")
    if error == "unavailable":
        raise Unavailable("Not now.")
    if error == "websocket":
        raise WebSocketException(1008, "Not you.")
    if error == "unexpected":
        raise ValueError("Seen by no client.")


def authenticate(before: str = "") -> None:
    fail(before)


def add_routes(app: FastAPI) -> FastAPI:
    @app.websocket("/echo/{room}", dependencies=[Depends(authenticate)])
    async def echo(websocket: WebSocket, room: int, after: str = "") -> None:
        await websocket.accept()
        fail(after)
        while True:
            text = await websocket.receive_text()
            await websocket.send_text(f"{room}: {text}")

    return app
"""


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory, deployment: Deployment) -> Iterator[Path]:
    """The folder with the routes and the library; the project has both until the tests have ended."""
    folder = tmp_path_factory.mktemp("websockets")
    (folder / "more_routes.py").write_text(ROUTES)
    library = find_spec("websockets")
    assert library is not None
    assert library.origin is not None
    (folder / "websockets").symlink_to(Path(library.origin).parent)
    main = deployment.run.project / "app/main.py"
    original = main.read_text()
    before, found, after = original.rpartition("    return app\n")
    assert found
    main.write_text(f"{before}    from more_routes import add_routes\n\n    return add_routes(app)\n{after}")
    yield folder
    main.write_text(original)
    deployment.kill()
    shutil.rmtree(folder)


@pytest.fixture
def chat(routes: Path, deployment: Deployment) -> Deployment:
    """The service with its WebSocket."""
    deployment.running(PYTHONPATH=routes)
    return deployment


def opened(service: Deployment, query: str = "", room: str = "7") -> ClientConnection:
    headers = {"X-Request-ID": "my.own-id"}
    return connect(
        f"ws://127.0.0.1:{service.port}/echo/{room}{query}", additional_headers=headers, proxy=None
    )


def logged(service: Deployment, word: str) -> list[dict[str, object]]:
    lines = service.log.read_text(errors="replace").splitlines()
    return [json.loads(line) for line in lines if word in line]


def test_a_websocket_is_served(chat: Deployment) -> None:
    with opened(chat) as websocket, opened(chat, room="8") as other:
        for number in range(20):
            websocket.send(f"{number}")
            other.send("x" * 100_000)
            assert websocket.recv() == f"7: {number}"
            assert other.recv() == f"8: {'x' * 100_000}"
        assert websocket.response is not None
        assert websocket.response.headers["X-Request-ID"] == "my.own-id"
    with new_client(chat.url) as client:
        metrics = client.get("/metrics").text
        assert client.get("/health/live").status_code == 200
    assert re.search(
        r'websocket_handshakes_total\{http_response_status_code="101",http_route="/echo/\{room\}"\} [1-9]',
        metrics,
    )


@pytest.mark.parametrize(
    ("query", "room", "status", "detail"),
    [
        ("?before=http", "7", 401, "Who are you?"),
        ("?before=service", "7", 404, "No such room."),
        ("?before=unavailable", "7", 503, "Not now."),
        ("?before=websocket", "7", 403, "Not you."),
        ("?before=unexpected", "7", 500, "The service failed unexpectedly."),
        ("", "no-number", 403, ""),
        ("", "7/nowhere", 403, ""),
    ],
)
def test_an_error_before_it_is_accepted_is_a_problem(
    chat: Deployment, query: str, room: str, status: int, detail: str
) -> None:
    with pytest.raises(InvalidStatus) as refused:
        opened(chat, query, room)
    response = refused.value.response
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["X-Request-ID"] == "my.own-id"
    assert response.body is not None
    problem = json.loads(response.body)
    assert (problem["status"], problem["request_id"]) == (status, "my.own-id")
    assert problem["detail"].startswith(detail)
    assert status != 401 or response.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("error", "code"),
    [("http", 1008), ("service", 1008), ("unavailable", 1013), ("websocket", 1008), ("unexpected", 1011)],
)
def test_an_error_after_it_was_accepted_closes_it_with_a_code(
    chat: Deployment, error: str, code: int
) -> None:
    with opened(chat, f"?after={error}") as websocket, pytest.raises(ConnectionClosed) as closed:
        websocket.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == code


def test_an_unexpected_error_is_logged_once_with_its_id(chat: Deployment) -> None:
    before = len(logged(chat, "Seen by no client."))
    with opened(chat, "?after=unexpected") as websocket, pytest.raises(ConnectionClosed):
        websocket.recv()
    lines = logged(chat, "Seen by no client.")[before:]
    assert [line["request_id"] for line in lines] == ["my.own-id"]


def test_a_client_that_leaves_is_no_error(chat: Deployment) -> None:
    before = len(logged(chat, '"ERROR"'))
    for _ in range(3):
        opened(chat).close()
    assert len(logged(chat, '"ERROR"')) == before


def test_without_a_library_the_service_names_it_and_does_not_start(chat: Deployment, routes: Path) -> None:
    chat.stop()
    (routes / "websockets").rename(routes / "absent")
    try:
        with pytest.raises(AssertionError):
            chat.start(PYTHONPATH=routes)
        printed = chat.log.read_bytes()[chat.log_begins_at :].decode()
        assert "The WebSocket at /echo/{room} needs the package websockets" in printed
    finally:
        (routes / "absent").rename(routes / "websockets")
        chat.kill()
