"""Properties of every response."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope, Send

from app.forge.errors import Unavailable
from app.forge.http import health
from app.forge.http.health import Dependency
from app.forge.http.middleware import BodyLimitMiddleware, RequestIdMiddleware
from app.main import telemetry
from app.settings import Settings

AXES: tuple[str, ...] = ("app_compression",)

ITEMS = "/api/v1/items"
ANSWERS = [("GET", "/health/live"), ("GET", ITEMS), ("GET", "/nowhere"), ("PUT", ITEMS), ("POST", ITEMS)]


@pytest.mark.parametrize(("method", "path"), ANSWERS)
def test_every_response_has_a_request_id_and_a_timing(client: TestClient, method: str, path: str) -> None:
    first, second = client.request(method, path), client.request(method, path)
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,128}", first.headers["x-request-id"])
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    assert re.fullmatch(r"app;dur=\d+\.\d+", first.headers["server-timing"])


@pytest.mark.parametrize("request_id", ["a", "A-Z_0.9", "x" * 128])
def test_a_request_id_of_the_client_is_kept(client: TestClient, request_id: str) -> None:
    answer = client.get("/nowhere", headers={"X-Request-ID": request_id})
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == request_id


@pytest.mark.parametrize("request_id", ["", "x" * 129, "with space", "a\tb", "é", "<script>", "a,b"])
def test_a_malformed_request_id_is_replaced(client: TestClient, request_id: str) -> None:
    answer = client.get("/health/live", headers=[(b"x-request-id", request_id.encode())])
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["x-request-id"])


def test_an_unknown_path_returns_a_problem(client: TestClient) -> None:
    answer = client.get("/nowhere")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert answer.json()["title"] == "Not Found"


def test_a_method_that_is_not_allowed_returns_a_problem(client: TestClient) -> None:
    answer = client.put(ITEMS)
    assert (answer.status_code, answer.headers["content-type"]) == (405, "application/problem+json")
    assert answer.headers["allow"] == "GET, HEAD, POST"


def test_an_unavailable_service_returns_503_with_retry_after(app: FastAPI) -> None:
    @app.get("/unavailable")
    async def read_unavailable() -> None:
        raise Unavailable("The database is away.")

    with TestClient(app) as client:
        answer = client.get("/unavailable")
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert int(answer.headers["retry-after"]) >= 1


def test_readiness_names_the_dependency_that_is_down() -> None:
    async def ping_in_vain() -> None:
        raise Unavailable("The database is away.")

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[dict[str, list[Dependency]]]:
        yield {"dependencies": [Dependency("database", ping_in_vain, required=True)]}

    app = FastAPI(lifespan=lifespan)
    app.include_router(health.router)
    app.add_middleware(RequestIdMiddleware)
    with TestClient(app) as client:
        answer = client.get("/health/ready")
    assert (answer.status_code, answer.json()["dependencies"]["database"]["status"]) == (503, "down")


def test_an_unexpected_error_returns_a_problem_without_its_reason(app: FastAPI) -> None:
    @app.get("/broken")
    async def read_broken() -> None:
        raise RuntimeError("a secret")

    with TestClient(app, raise_server_exceptions=False) as client:
        answer = client.get("/broken")
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert "secret" not in answer.text


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE", "QUERY"])
def test_a_body_over_the_limit_is_refused(client: TestClient, settings: Settings, method: str) -> None:
    body = b" " * (settings.max_body_bytes + 1)
    announced = client.request(method, ITEMS, content=body)
    chunked = client.request(method, ITEMS, content=iter([body[:1_000], body[1_000:]]))
    for answer in (announced, chunked):
        assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")
        assert answer.json()["request_id"] == answer.headers["x-request-id"]


async def test_a_body_within_the_limit_reaches_an_endpoint_of_any_method() -> None:
    messages: list[Message] = [
        {"type": "http.request", "body": b"1234", "more_body": True},
        {"type": "http.request", "body": b"5678", "more_body": False},
        {"type": "http.disconnect"},
    ]
    left, given = messages.copy(), []

    async def receive() -> Message:
        return left.pop(0)

    async def send(_message: Message) -> None:
        raise AssertionError("nothing is sent from here")

    async def read_all(_scope: Scope, receive: Receive, _send: Send) -> None:
        given.extend([await receive() for _ in messages])

    scope: Scope = {"type": "http", "method": "QUERY", "headers": [(b"transfer-encoding", b"chunked")]}
    await BodyLimitMiddleware(read_all, max_body_bytes=10)(scope, receive, send)
    assert given == messages


async def test_no_more_than_the_limit_is_read_of_a_body_of_unknown_length() -> None:
    read_bytes = 0

    async def receive() -> Message:
        nonlocal read_bytes
        read_bytes += 4
        return {"type": "http.request", "body": b"1234", "more_body": True}

    async def send(_message: Message) -> None:
        raise AssertionError("nothing is sent from here")

    async def read_all(_scope: Scope, receive: Receive, _send: Send) -> None:
        while True:
            await receive()

    limited = BodyLimitMiddleware(read_all, max_body_bytes=10)
    with pytest.raises(HTTPException, match="limit of 10 bytes"):
        await limited({"type": "http", "method": "POST", "headers": []}, receive, send)
    assert read_bytes == 12


def test_the_service_is_live_and_ready(client: TestClient) -> None:
    assert client.get("/health/live").json() == {"status": "alive"}
    ready = client.get("/health/ready")
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")
    assert ready.json()["dependencies"]["database"]["status"] == "up"
    assert ready.json()["dependencies"]["database"]["latency_ms"] >= 0


def requests_counted(client: TestClient, labels: str) -> float:
    text = client.get("/metrics").text
    found = re.search(rf"^http_server_request_duration_seconds_count\{{{re.escape(labels)}\}} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_requests_are_counted_by_route_and_status(client: TestClient) -> None:
    labels = f'http_request_method="GET",http_response_status_code="422",http_route="{ITEMS}/{{row_id}}"'
    before = requests_counted(client, labels)
    client.get(f"{ITEMS}/1")
    client.get(f"{ITEMS}/2")
    assert requests_counted(client, labels) == before + 2


def test_unknown_paths_and_methods_do_not_create_series(client: TestClient) -> None:
    client.request("BREW", "/coffee")
    text = client.get("/metrics").text
    assert 'http_request_method="_OTHER",http_response_status_code="404",http_route="unmatched"' in text
    assert "coffee" not in text
    assert "BREW" not in text


def test_the_openapi_document_lists_every_response(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    paths = document["paths"]
    assert set(paths[f"{ITEMS}/{{row_id}}"]["patch"]["responses"]) >= {"200", "404", "409", "422"}
    problem = paths[ITEMS + "/{row_id}"]["get"]["responses"]["404"]["content"]["application/problem+json"]
    assert problem["schema"] == {"$ref": "#/components/schemas/Problem"}
    assert "Problem" in document["components"]["schemas"]
    assert client.get("/docs").status_code == 200


@pytest.mark.parametrize("spec", [None, object()], ids=["without its SDK", "with it"])
def test_opentelemetry_is_used_if_it_is_installed(monkeypatch: pytest.MonkeyPatch, spec: object) -> None:
    monkeypatch.setattr("app.main.find_spec", {"opentelemetry.sdk": spec}.__getitem__)
    told = spec is not None
    assert telemetry() == {"tracing": told, "metrics": told, "logs": told}
