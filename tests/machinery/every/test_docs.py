"""The documentation: served completely by the service, under a policy that blocks everything else."""

import re
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha384
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.forge.http import docs
from app.main import create_app
from app.settings import Settings

AXES: tuple[str, ...] = ("app_compression",)

FILES = ["swagger-ui-bundle.js", "swagger-ui.css", "initializer.js", "favicon-32x32.png"]
READY = ["/docs", "/openapi.json", *(f"/docs/{name}" for name in FILES)]


def closed(settings: Settings, **choices: bool) -> Iterator[TestClient]:
    with TestClient(create_app(settings.model_copy(update=choices))) as client:
        yield client


@pytest.mark.parametrize("path", READY)
def test_files_that_the_client_has_return_304(running: TestClient, path: str) -> None:
    first = running.get(path)
    assert (first.status_code, first.headers["cache-control"]) == (200, "no-cache")
    assert first.headers["x-content-type-options"] == "nosniff"
    # Compressed responses have weak tags.
    etag = first.headers["etag"].removeprefix("W/")
    known = running.get(path, headers={"If-None-Match": etag})
    assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", etag)
    assert known.headers.get("content-security-policy") == first.headers.get("content-security-policy")
    assert running.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


def test_the_page_loads_only_files_that_the_service_serves(running: TestClient) -> None:
    page = running.get("/docs").text
    loaded = dict(re.findall(r'(?:src|href)="([^"]+)"(?: integrity="([^"]+)")?', page))
    assert [path.removeprefix("docs/") for path in sorted(loaded)] == sorted(FILES)
    for path, integrity in loaded.items():
        answer = running.get(f"/{path}")
        assert answer.status_code == 200
        digest = f"sha384-{b64encode(sha384(answer.content).digest()).decode()}"
        assert integrity in (digest, "")
    assert not re.findall(r"<script[^>]*>[^<]", page)
    assert not re.search(r"\son\w+=|style=|<style|https?:", page)


def test_the_policy_lets_the_page_load_from_the_service_only(running: TestClient) -> None:
    policy = running.get("/docs").headers["content-security-policy"]
    directives = dict(directive.strip().split(" ", 1) for directive in policy.split(";"))
    assert directives["default-src"] == "'none'"
    assert directives["script-src"] == directives["style-src"] == directives["connect-src"] == "'self'"
    assert "unsafe" not in policy


def test_a_title_is_text(monkeypatch: pytest.MonkeyPatch, running: TestClient) -> None:
    monkeypatch.setattr(docs, "NAME", "</title><script>alert(1)</script> & {title}")
    docs._page.cache_clear()
    page = running.get("/docs").text
    docs._page.cache_clear()
    assert (
        "<title>&lt;/title&gt;&lt;script&gt;alert(1)&lt;/script&gt; &amp; {title} - Swagger UI</title>"
        in page
    )


@pytest.mark.parametrize("name", ["other.js", "__init__.py", "..%2F__init__.py", "SWAGGER-UI.css", ""])
def test_no_other_file_can_be_requested(running: TestClient, name: str) -> None:
    answer = running.get(f"/docs/{name}", follow_redirects=False)
    assert answer.status_code in (404, 307)


def test_the_openapi_document_is_created_once(running: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    first = running.get("/openapi.json")
    monkeypatch.setattr(docs, "JSONResponse", None)
    assert running.get("/openapi.json").content == first.content


def test_a_route_that_is_added_later_is_documented(app: FastAPI) -> None:
    with TestClient(app) as client:
        before = client.get("/openapi.json")

        @app.get("/later")
        async def read_later() -> None: ...

        after = client.get("/openapi.json")
    assert "/later" in after.json()["paths"]
    assert "Problem" in after.json()["components"]["schemas"]
    assert before.headers["etag"] != after.headers["etag"]


def test_a_document_that_is_reset_or_replaced_is_serialized_again(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TestClient(app) as client:
        client.get("/openapi.json")
        app.title, app.openapi_schema = "Another title", None
        again = client.get("/openapi.json").json()
        assert again["info"]["title"] == "Another title"
        assert "Problem" in again["components"]["schemas"]
        monkeypatch.setattr(app, "openapi", lambda: {"openapi": "3.1.0", "info": {}})
        assert client.get("/openapi.json").json() == {"openapi": "3.1.0", "info": {}}


def test_behind_a_prefix_the_document_names_it_as_a_server(app: FastAPI) -> None:
    def servers(client: TestClient) -> Any:
        return client.get("/openapi.json").json().get("servers")

    with TestClient(app) as plain, TestClient(app, root_path="/a") as a, TestClient(app, root_path="/b") as b:
        for _ in range(2):
            assert servers(plain) == [{"url": "/"}]
            assert servers(a) == [{"url": "/a"}]
            assert servers(b) == [{"url": "/b"}]


def test_a_public_url_is_the_only_server(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"public_url": "https://api.example.com/shop"}))
    with TestClient(app, root_path="/shop") as client:
        assert client.get("/openapi.json").json()["servers"] == [{"url": "https://api.example.com/shop"}]


def test_disabled_documentation_is_not_found(settings: Settings) -> None:
    for client in closed(settings, docs_enabled=False):
        for path in READY:
            answer = client.get(path)
            assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
        assert client.get("/metrics").status_code == 200


def test_disabled_metrics_are_not_found(settings: Settings) -> None:
    for client in closed(settings, metrics_enabled=False):
        answer = client.get("/metrics")
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
        assert client.get("/docs").status_code == 200
