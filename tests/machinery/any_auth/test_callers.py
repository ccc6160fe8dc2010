"""Who sends a request, what that caller may do, and what caches may keep of it."""

import logging
from collections.abc import Iterator
from time import monotonic
from typing import Annotated, Any
from uuid import uuid4

import pytest
from fastapi import FastAPI, Request, Response, Security, WebSocket
from fastapi.testclient import TestClient
from starlette.testclient import WebSocketDenialResponse

from app.forge.auth.authenticator import Authenticator
from app.forge.auth.caller import Caller
from app.forge.auth.refusals import unauthenticated
from app.forge.auth.security import caller
from app.main import create_app
from app.resources import RESOURCES
from app.settings import Settings
from tests.callers import SCOPES

AXES: tuple[str, ...] = ("auth", "cache", "serializer")

ITEMS = "/api/v1/items"
LINES = "/api/v1/order-lines"
ITEM = {"name": "Desk", "price_cents": 1}
SECRET = "s3cret-that-must-not-be-repeated"
NOWHERE = uuid4()

# What each route of a resource needs.
READS = [("GET", ""), ("HEAD", ""), ("GET", "/export"), ("GET", "/summary"), ("GET", f"/{NOWHERE}")]
WRITES = [("POST", ""), ("POST", "/batch"), ("PATCH", f"/{NOWHERE}"), ("DELETE", f"/{NOWHERE}")]


class KnownTokens:
    """Verifies the tokens of a test, and counts how often."""

    def __init__(self) -> None:
        self.scopes = {
            "all": SCOPES,
            "reader": frozenset({"items:read"}),
            "writer": frozenset({"items:write"}),
            "lines": frozenset({"order_lines:read", "order_lines:write"}),
            "none": frozenset[str](),
        }
        self.seconds = 60.0
        self.verified = 0

    async def verify(self, credentials: str) -> tuple[Caller, float]:
        """Return the caller with the scopes of this token."""
        self.verified += 1
        if credentials not in self.scopes:
            raise unauthenticated("The token is not known.")
        return Caller(credentials, self.scopes[credentials], "tests"), monotonic() + self.seconds


@pytest.fixture(scope="module", autouse=True)
def _identified() -> None:
    """Let requests send their credentials."""


@pytest.fixture
def tokens() -> KnownTokens:
    return KnownTokens()


@pytest.fixture
def guarded(
    app: FastAPI,
    settings: Settings,
    tokens: KnownTokens,
    monkeypatch: pytest.MonkeyPatch,
    _empty_database: None,
) -> Iterator[TestClient]:
    """Yield a client of the service that knows the tokens of these tests."""

    @app.get("/mine")
    async def read_mine(
        response: Response, found: Annotated[Caller, Security(caller, scopes=["items:read"])]
    ) -> str:
        response.headers["Cache-Control"] = "public, max-age=60"
        return found.subject

    @app.get("/open")
    async def read_open(response: Response) -> str:
        response.headers["Cache-Control"] = "public, max-age=60"
        return "hello"

    @app.get("/state", dependencies=[Security(caller)])
    async def read_state(request: Request) -> str:
        return str(request.state.caller.subject)

    @app.websocket("/chat")
    async def chat(
        websocket: WebSocket, found: Annotated[Caller, Security(caller, scopes=["items:read"])]
    ) -> None:
        await websocket.accept()
        await websocket.send_text(found.subject)
        await websocket.close()

    # The test client needs no library for WebSockets.
    monkeypatch.setattr("app.forge.http.websockets.find_spec", lambda _name: True)
    with TestClient(app, raise_server_exceptions=False) as client:
        client.app_state["authenticator"] = Authenticator(tokens, settings)
        yield client


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def assert_is_problem(response: Any, status: int) -> None:
    assert response.status_code == status
    if response.request.method != "HEAD":
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["status"] == status
        assert SECRET not in response.text
    assert SECRET not in str(response.headers)


@pytest.mark.parametrize(("method", "path"), [*READS, *WRITES])
def test_no_route_of_a_resource_answers_without_credentials(
    guarded: TestClient, method: str, path: str
) -> None:
    for resource in RESOURCES:
        response = guarded.request(method, resource.router.prefix + path, json={})
        assert_is_problem(response, 401)
        assert response.headers["www-authenticate"] == 'Bearer realm="api"'
        assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(("method", "path"), READS)
def test_reading_needs_the_scope_to_read(guarded: TestClient, method: str, path: str) -> None:
    for token in ("writer", "lines", "none"):
        response = guarded.request(method, ITEMS + path, headers=bearer(token))
        assert_is_problem(response, 403)
        challenge = 'Bearer realm="api", error="insufficient_scope", scope="items:read"'
        assert response.headers["www-authenticate"] == challenge
    assert guarded.request(method, ITEMS + path, headers=bearer("reader")).status_code in (200, 404)


@pytest.mark.parametrize(("method", "path"), WRITES)
def test_writing_needs_the_scope_to_write(guarded: TestClient, method: str, path: str) -> None:
    body = [ITEM] if path == "/batch" else ITEM
    for token in ("reader", "lines", "none"):
        response = guarded.request(method, ITEMS + path, json=body, headers=bearer(token))
        assert_is_problem(response, 403)
    answer = guarded.request(method, ITEMS + path, json=body, headers=bearer("writer"))
    assert answer.status_code in (201, 404)


def test_a_refused_write_writes_nothing(guarded: TestClient) -> None:
    for headers in ({}, bearer("reader"), bearer("unknown")):
        assert guarded.post(ITEMS, json=ITEM, headers=headers).status_code in (401, 403)
    assert guarded.get(ITEMS, headers=bearer("reader")).json()["items"] == []


@pytest.mark.parametrize(
    ("relation", "status"), [("item", 403), ("parent", 200), ("parent,item", 403), ("buyer", 403)]
)
def test_expanding_needs_the_scope_to_read_what_is_expanded(
    guarded: TestClient, relation: str, status: int
) -> None:
    page = guarded.get(LINES, params={"expand": relation}, headers=bearer("lines"))
    assert page.status_code == status
    one = guarded.get(f"{LINES}/{NOWHERE}", params={"expand": relation}, headers=bearer("lines"))
    assert one.status_code == (404 if status == 200 else status)
    assert guarded.get(LINES, params={"expand": relation}, headers=bearer("all")).status_code == 200


@pytest.mark.parametrize(
    "authorization",
    ["Bearer all", "bearer all", "BEARER all", "BeArEr all", "Bearer  all", "Bearer     all"],
)
def test_the_scheme_may_be_in_any_case_and_followed_by_spaces(
    guarded: TestClient, authorization: str
) -> None:
    assert guarded.get(ITEMS, headers={"Authorization": authorization}).status_code == 200


@pytest.mark.parametrize(
    "authorization",
    [
        "", "all", "Bearer", "Bearer ", "Bearerall", "Bearer\tall", "Bearer all all", "Bearer all,all",
        "Bearer all, Bearer all", "Basic all", "Token all", 'Bearer "all"', "Bearer all=x", "Bearer \u00e4ll",
        "Bearer all\u00a0", f"Bearer {SECRET}", f"Basic {SECRET}", "Bearer " + "a" * 9_000,
        "Bearer " + "a" * 1_000_000,
    ],
)  # fmt: skip
def test_anything_else_is_refused(guarded: TestClient, authorization: str) -> None:
    response = guarded.get(ITEMS, headers=[(b"Authorization", authorization.encode("latin-1"))])
    assert_is_problem(response, 401)
    assert response.headers["www-authenticate"].startswith('Bearer realm="api", error="')


@pytest.mark.parametrize("second", ["Bearer all", "Bearer none", "Basic x", ""])
def test_repeated_headers_are_refused(guarded: TestClient, second: str) -> None:
    headers = [("Authorization", "Bearer all"), ("authorization", second)]
    assert_is_problem(guarded.get(ITEMS, headers=headers), 401)


@pytest.mark.parametrize("name", ["access_token", "token", "authorization", "api_key", "key"])
def test_a_token_in_the_url_or_in_a_cookie_is_not_read(guarded: TestClient, name: str) -> None:
    assert_is_problem(guarded.get(ITEMS, params={name: "all"}), 401)
    assert_is_problem(guarded.get(ITEMS, headers={"Cookie": f"{name}=all"}), 401)
    assert_is_problem(guarded.get(ITEMS, headers={"X-API-Key": "all"}), 401)


def test_a_caller_is_remembered_until_the_time_is_over(guarded: TestClient, tokens: KnownTokens) -> None:
    for _ in range(3):
        assert guarded.get(ITEMS, headers=bearer("all")).status_code == 200
    assert tokens.verified == 1
    tokens.seconds = 0.0
    assert guarded.get(ITEMS, headers=bearer("reader")).status_code == 200
    del tokens.scopes["reader"]
    assert guarded.get(ITEMS, headers=bearer("reader")).status_code == 401


def test_as_many_callers_are_remembered_as_the_setting_says(
    settings: Settings, tokens: KnownTokens, guarded: TestClient
) -> None:
    bounded = settings.model_copy(update={"auth_max_remembered": 10})
    guarded.app_state["authenticator"] = authenticator = Authenticator(tokens, bounded)
    for number in range(50):
        tokens.scopes[f"t{number}"] = SCOPES
        assert guarded.get(ITEMS, headers=bearer(f"t{number}")).status_code == 200
    assert len(authenticator._remembered) == 10
    for _ in range(3):
        assert guarded.get(ITEMS, headers=bearer("t49")).status_code == 200
    assert tokens.verified == 50


def test_a_refused_token_is_not_remembered(guarded: TestClient, tokens: KnownTokens) -> None:
    assert guarded.get(ITEMS, headers=bearer("late")).status_code == 401
    tokens.scopes["late"] = SCOPES
    assert guarded.get(ITEMS, headers=bearer("late")).status_code == 200


def test_no_credentials_are_kept_in_memory(guarded: TestClient, tokens: KnownTokens) -> None:
    tokens.scopes[SECRET] = SCOPES
    assert guarded.get(ITEMS, headers=bearer(SECRET)).status_code == 200
    remembered = guarded.app_state["authenticator"]._remembered
    assert remembered
    assert all(len(digest) == 32 and SECRET.encode() not in digest for digest in remembered)


def test_what_a_caller_gets_is_private(guarded: TestClient) -> None:
    created = guarded.post(ITEMS, json=ITEM, headers=bearer("all"))
    path = created.headers["location"]
    for response in (
        created,
        guarded.get(path, headers=bearer("all")),
        guarded.get(ITEMS, headers=bearer("all")),
    ):
        assert response.headers["cache-control"] == "private, no-cache"
    known = bearer("all") | {"If-None-Match": created.headers["etag"]}
    again = guarded.get(path, headers=known)
    assert (again.status_code, again.headers["cache-control"]) == (304, "private, no-cache")


def test_what_an_owner_calls_public_is_private_if_it_depends_on_the_caller(guarded: TestClient) -> None:
    mine = guarded.get("/mine", headers=bearer("reader"))
    assert (mine.json(), mine.headers["cache-control"]) == ("reader", "private, max-age=60")
    assert guarded.get("/mine", headers=bearer("all")).json() == "all"
    opened = guarded.get("/open", headers=bearer("all"))
    assert opened.headers["cache-control"] == "public, max-age=60"


def test_an_entity_tag_does_not_replace_credentials(guarded: TestClient) -> None:
    created = guarded.post(ITEMS, json=ITEM, headers=bearer("all"))
    # In the cache by now.
    assert guarded.get(created.headers["location"], headers=bearer("reader")).status_code == 200
    for headers in ({}, bearer("unknown")):
        for tag in (created.headers["etag"], "*"):
            response = guarded.get(created.headers["location"], headers={**headers, "If-None-Match": tag})
            assert_is_problem(response, 401)
            assert "etag" not in response.headers
    response = guarded.get(created.headers["location"], headers={**bearer("lines"), "If-None-Match": "*"})
    assert_is_problem(response, 403)


def test_the_caller_is_found_once_for_all_dependencies(guarded: TestClient) -> None:
    assert guarded.get("/state", headers=bearer("none")).json() == "none"


def test_a_websocket_needs_credentials(guarded: TestClient) -> None:
    for headers, status in (({}, 401), (bearer("unknown"), 401), (bearer("lines"), 403)):
        with (
            pytest.raises(WebSocketDenialResponse) as denied,
            guarded.websocket_connect("/chat", headers=headers),
        ):
            pass
        assert denied.value.status_code == status
        assert denied.value.headers["www-authenticate"].startswith("Bearer")
    with guarded.websocket_connect("/chat", headers=bearer("reader")) as websocket:
        assert websocket.receive_text() == "reader"


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/docs", "/openapi.json", "/metrics"])
def test_health_documentation_and_metrics_are_open(guarded: TestClient, path: str) -> None:
    assert guarded.get(path).status_code == 200


def test_documentation_and_metrics_may_need_a_scope(settings: Settings, tokens: KnownTokens) -> None:
    closed = settings.model_copy(update={"docs_scope": "docs:read", "metrics_scope": "metrics:read"})
    with TestClient(create_app(closed)) as client:
        client.app_state["authenticator"] = Authenticator(tokens, closed)
        tokens.scopes["docs"] = frozenset({"docs:read"})
        tokens.scopes["metrics"] = frozenset({"metrics:read"})
        for path, scope in (("/docs", "docs"), ("/openapi.json", "docs"), ("/metrics", "metrics")):
            assert_is_problem(client.get(path), 401)
            assert_is_problem(client.get(path, headers=bearer("all")), 403)
            assert client.get(path, headers=bearer(scope)).status_code == 200
        assert client.get("/health/ready").status_code == 200


def test_the_document_names_the_scheme_and_the_scopes(app: FastAPI) -> None:
    document = app.openapi()
    ((name, scheme),) = document["components"]["securitySchemes"].items()
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    assert document["paths"][ITEMS]["get"]["security"] == [{name: ["items:read"]}]
    assert document["paths"][ITEMS]["post"]["security"] == [{name: ["items:write"]}]
    assert "security" not in document["paths"]["/health/ready"]["get"]
    for status in ("401", "403"):
        response = document["paths"][ITEMS]["get"]["responses"][status]
        assert "WWW-Authenticate" in response["headers"]
        assert list(response["content"]) == ["application/problem+json"]


def test_no_credentials_reach_the_log_metrics_or_errors(
    settings: Settings, tokens: KnownTokens, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    profile_secret = "a-secret-for-profiles"
    told = settings.model_copy(update={"access_log": True, "log_level": "DEBUG"})
    app = create_app(told)

    @app.get("/broken", dependencies=[Security(caller)])
    async def read_broken() -> None:
        raise RuntimeError("broken")

    tokens.scopes[SECRET] = SCOPES
    with TestClient(app, raise_server_exceptions=False) as client:
        client.app_state["authenticator"] = Authenticator(tokens, told)
        answers = [
            client.get(ITEMS, headers=bearer(SECRET)),
            client.get("/broken", headers=bearer(SECRET)),
            client.get(ITEMS, headers={"Authorization": f"Basic {SECRET}"}),
            client.get(ITEMS, headers=bearer(f"unknown-{SECRET}")),
            client.get(f"{ITEMS}/{NOWHERE}", headers={**bearer(SECRET), "X-Profile-Secret": profile_secret}),
            client.get("/metrics"),
        ]
    assert [each.status_code for each in answers] == [200, 500, 401, 401, 404, 200]
    assert all(SECRET not in each.text + str(each.headers) for each in answers)
    assert "broken" in caplog.text
    assert SECRET not in caplog.text
