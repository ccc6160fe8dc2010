"""Behavior that Nginx adds in front of the service: its own errors, addresses, limits."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import pytest

from app.forge.server.nginx_configuration import DEPLOYMENT, CannotStart, find_nginx

AXES: tuple[str, ...] = ("compression",)

START_SECONDS = 30
START = "from app.forge.server.nginx import serve; from app.settings import Settings; serve(Settings())"
MAX_BODY_BYTES = 100_000
OWN_ROUTE = str(Path(__file__).parent / "own_route")

Ask = Callable[..., tuple[HTTPResponse, bytes]]


@pytest.fixture(scope="module")
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        bound: int = probe.getsockname()[1]
        return bound


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nginx") / "log"


@pytest.fixture(scope="module")
def nginx(port: int, environment: dict[str, str], log: Path) -> Iterator[int]:
    own = {
        "ACCESS_LOG": "true",
        "WORKERS": "1",
        "MAX_BODY_BYTES": str(MAX_BODY_BYTES),
        "FORWARDED_ALLOW_IPS": "127.0.0.1",
        "PORT": str(port),
        "PYTHONPATH": OWN_ROUTE,
    }
    command = [sys.executable, "-c", START]
    with log.open("a") as output, subprocess.Popen(command, env=environment | own, stderr=output) as process:
        deadline = time.monotonic() + START_SECONDS
        while not answers(port) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert answers(port), log.read_text()
        yield port
        process.send_signal(signal.SIGTERM)


def answers(port: int) -> bool:
    """A connection is not enough: `nginx -t` also listens for a moment, and resets its connections."""
    connection = HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", "/health/live")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


@pytest.fixture
def ask(nginx: int) -> Iterator[Ask]:
    connection = HTTPConnection("127.0.0.1", nginx, timeout=10)

    def answer_to(
        path: str, headers: dict[str, str] | None = None, method: str = "GET", body: bytes | None = None
    ) -> tuple[HTTPResponse, bytes]:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response, response.read()

    yield answer_to
    connection.close()


@pytest.fixture
def ask_raw(nginx: int) -> Callable[[bytes], bytes]:
    def answer_to(request: bytes) -> bytes:
        received = b""
        with socket.create_connection(("127.0.0.1", nginx), timeout=10) as connection:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            while chunk := connection.recv(65_536):
                received += chunk
        return received

    return answer_to


def logged(log: Path, request_id: str) -> list[dict[str, Any]]:
    """Return the lines with this id, which may be written a moment after the response."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        # Nginx's own errors are plain text.
        lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
        if found := [line for line in lines if line.get("request_id") == request_id]:
            return found
        time.sleep(0.05)
    return []


def test_the_access_log_has_responses_of_nginx_itself(ask: Ask, log: Path) -> None:
    body = b" " * (MAX_BODY_BYTES + 1)
    ask("/api/v1/items?token=secret", method="POST", body=body, headers={"X-Request-ID": "too-large"})
    ask("/nowhere", headers={"X-Request-ID": "from-a-worker"})
    (refused,), (passed,) = logged(log, "too-large"), logged(log, "from-a-worker")
    assert (refused["logger"], refused["path"], refused["status"]) == ("nginx", "/api/v1/items", 413)
    assert 0 <= refused["milliseconds"] < 10_000
    assert (passed["logger"], passed["status"], passed["upstream_status"]) == ("nginx", 404, "404")


def test_a_body_over_the_limit_is_refused_with_a_problem(ask: Ask) -> None:
    body = b"[" + b" " * MAX_BODY_BYTES
    headers = {"Content-Type": "application/json", "X-Request-ID": "my.own-id"}
    response, answer = ask("/api/v1/items/batch", headers, "POST", body)
    assert (response.status, response.headers["Content-Type"]) == (413, "application/problem+json")
    assert response.headers["X-Request-ID"] == "my.own-id"
    assert json.loads(answer) == {
        "type": "about:blank",
        "title": "Content Too Large",
        "status": 413,
        "detail": f"The body is over the limit of {MAX_BODY_BYTES} bytes.",
        "request_id": "my.own-id",
    }


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GARBAGE\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 40_000 + b"\r\n\r\n", 431),
        (b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: strange\r\n\r\n", 501),
        (b"GET / HTTP/9.1\r\nHost: a\r\n\r\n", 505),
    ],
)
def test_an_invalid_request_is_refused_with_a_problem(
    ask_raw: Callable[[bytes], bytes], request_: bytes, status: int
) -> None:
    head, _, body = ask_raw(request_).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\nContent-Type: application/problem+json\r\n" in head
    problem = json.loads(body)
    assert problem["status"] == status
    assert b"\r\nX-Request-ID: " + problem["request_id"].encode() in head


@pytest.mark.parametrize("request_id", ['"}', "a b", "x" * 129])
def test_a_request_id_that_could_break_out_is_replaced(ask: Ask, request_id: str) -> None:
    headers = {"X-Request-ID": request_id, "Content-Type": "application/json"}
    response, answer = ask("/api/v1/items/batch", headers, "POST", b" " * (MAX_BODY_BYTES + 1))
    assert response.status == 413
    assert json.loads(answer)["request_id"] == response.headers["X-Request-ID"] != request_id


def test_errors_of_the_service_pass_unchanged(ask: Ask) -> None:
    response, answer = ask("/nowhere")
    assert response.status == 404
    assert json.loads(answer)["request_id"] == response.headers["X-Request-ID"]
    assert "Server-Timing" in response.headers


def test_the_scheme_of_a_trusted_proxy_is_used(ask: Ask) -> None:
    assert ask("/own/scheme", {"X-Forwarded-Proto": "https"})[1] == b'"https"'
    assert ask("/own/scheme", {"X-Forwarded-Proto": "gopher"})[1] == b'"http"'


def test_connections_are_kept_open_on_both_sides(ask: Ask) -> None:
    for _ in range(10):
        response, _ = ask("/health/live")
        assert (response.status, response.headers["Connection"]) == (200, "keep-alive")


def test_large_responses_are_compressed_if_that_was_chosen(ask: Ask) -> None:
    chosen = "gzip" if (DEPLOYMENT / "compression").is_dir() else None
    response, _ = ask("/openapi.json", {"Accept-Encoding": "gzip"})
    assert response.headers["Content-Encoding"] == chosen
    response, _ = ask("/openapi.json", {"Accept-Encoding": "gzip;q=0"})
    assert response.headers["Content-Encoding"] is None
    response, _ = ask("/health/live", {"Accept-Encoding": "gzip"})
    assert response.headers["Content-Encoding"] is None


def test_no_page_of_nginx_itself_can_be_requested(ask: Ask) -> None:
    assert ask("/nginx-problem")[0].status == 404


def test_a_missing_nginx_is_named_with_the_next_step() -> None:
    with pytest.raises(CannotStart, match=r"'/nowhere/nginx' is not on PATH\. Install Nginx .* NGINX_PATH"):
        find_nginx("/nowhere/nginx")


def test_a_socket_path_that_is_too_long_is_refused(environment: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    variables = environment | {"TMPDIR": str(folder), "PORT": "1"}
    ended = subprocess.run(
        [sys.executable, "-c", START], env=variables, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert "is over 107 bytes long. Set TMPDIR to a shorter path." in ended.stderr
