"""Responses of a deployed service: unbuffered streams, errors of its owner, caching according to REDbot."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import uuid
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest

from tests.faults.clients import ITEMS, create, new_client
from tests.faults.deployment import Deployment
from tests.faults.plugin import Note
from tests.repository import REPOSITORY

pytestmark = pytest.mark.depends("compression", "deployment", once=("serializer",))

REDBOT_SECONDS = 300
BROWSER_SECONDS = 120
# The time after which a client stops waiting for a chunk that was held back.
STREAM_SECONDS = 10.0
WAYS = ("directly", "by-fastapi")
MEDIA_TYPES = ("text/plain", "application/json", "application/x-ndjson", "text/event-stream")
READS = [
    *[f"{ITEMS}?limit=100", ITEMS, f"{ITEMS}/{{id}}", f"{ITEMS}/export", f"{ITEMS}/summary", f"{ITEMS}/nope"],
    *[f"{ITEMS}/", "/nope", "/health/live", "/health/ready", "/metrics", "/openapi.json", "/docs"],
    *[
        "/docs/swagger-ui-bundle.js",
        "/docs/swagger-ui.css",
        "/docs/initializer.js",
        "/docs/favicon-32x32.png",
    ],
    *["/owner/fresh", "/owner/silent", "/owner/directly/raise/404", "/owner/by-fastapi/raise/410"],
]


@pytest.mark.parametrize("encoding", ["identity", "gzip", "br", "zstd"])
@pytest.mark.parametrize("way", WAYS)
def test_each_streamed_chunk_arrives_before_the_next_is_made(
    service: Deployment, encoding: str, way: str
) -> None:
    """The chunks wait for gates, and each gate opens when the previous chunk has arrived."""
    gates = service.run.project / "app" / "gates"
    gates.mkdir(exist_ok=True)
    with new_client(service.url) as client:
        client.timeout = STREAM_SECONDS
        for media_type in MEDIA_TYPES:
            name = uuid.uuid4().hex
            path = f"/owner/{way}/stream/{name}"
            options = {"params": {"media_type": media_type}, "headers": {"Accept-Encoding": encoding}}
            # The headers arrive before there is a chunk.
            with client.stream("GET", path, **options) as response:  # type: ignore[arg-type]
                assert response.status_code == 200
                arriving, text = response.iter_text(), ""
                for number in range(3):
                    (gates / f"{name}-{number}").touch()
                    while f"data: chunk {number}\n\n" not in text:
                        text += next(arriving)


@pytest.mark.parametrize("way", WAYS)
def test_any_error_of_the_owner_gets_a_response_and_the_connection_stays_open(
    service: Deployment, way: str
) -> None:
    detail = {"code": "käse", "left": [0, None]}
    host, _, port = service.url.removeprefix("http://").partition(":")
    connection = HTTPConnection(host, int(port), timeout=STREAM_SECONDS)
    connection.connect()
    opened = connection.sock
    for status in (204, 205, 304, 400, 401, 404, 409, 418, 422, 499, 500, 520, 599, 100, 103, 600, 999):
        connection.request("GET", f"/owner/{way}/raise/{status}?detail={quote(json.dumps(detail))}")
        answer = connection.getresponse()
        body = answer.read()
        told = status if 200 <= status <= 599 else 500
        assert (status, answer.status) == (status, told)
        assert answer.headers["X-Request-ID"]
        assert answer.headers["Cache-Control"] == ("no-cache" if status == 304 else "no-store")
        if status in (204, 205, 304):
            assert body == b""
            continue
        assert answer.headers["Content-Type"] == "application/problem+json"
        if told == status:
            assert answer.headers["X-Why"] == "because"
            assert json.loads(body)["detail"] == detail
    assert connection.sock is opened
    connection.close()


def test_redbot_has_no_warnings(service: Deployment, note: Note) -> None:
    with new_client(service.url) as client:
        for _ in range(30):
            item = create(client)
        identity = json.loads(item.text)["id"]
    urls = [service.url + path.replace("{id}", identity) for path in READS]
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.redbot", *urls],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=REDBOT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    warnings = {
        f"{url.removeprefix(service.url)}: {found['summary']} ({found['name']})"
        for url, about in told.items()
        for found in about["notes"]
        if found["level"] in ("warning", "bad")
    }
    assert len(told) == len(urls)
    assert all(len(about["notes"]) >= 3 for about in told.values()), told
    assert warnings == set()
    notes = sum(len(about["notes"]) for about in told.values())
    note("REDbot", 0, f"{len(told)} addresses, {notes} notes, no warnings")


def test_cache_control_of_the_owner_is_kept(service: Deployment) -> None:
    for encoding in ("identity", "gzip"):
        answer = httpx2.get(
            f"{service.url}/owner/fresh", headers={"Accept-Encoding": encoding}, trust_env=False, verify=False
        )
        assert answer.headers.get_list("Cache-Control") == ["max-age=60"]
        assert "X-Tenant" in answer.headers["Vary"]


@pytest.mark.only(database={"sqlite"})
@pytest.mark.depends("deployment")
def test_a_browser_without_the_internet_shows_the_documentation(service: Deployment, tmp_path: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        # 414 MB: too much for every run. Other tests check what the page loads and what its policy allows.
        pytest.skip("No Chromium is on PATH. Debian: apt-get install --no-install-recommends chromium")
    nowhere = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    alone = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}", nowhere]
    look = ["--enable-logging=stderr", "--virtual-time-budget=20000", "--dump-dom", f"{service.url}/docs"]
    seen = subprocess.run(
        [chromium, *alone, *look], capture_output=True, text=True, timeout=BROWSER_SECONDS, check=False
    )
    with new_client(service.url) as client:
        document = client.get("/openapi.json").json()

    operations = sum(len(operations) for operations in document["paths"].values())
    assert seen.stdout.count('class="opblock ') == operations >= 10, seen.stderr
    # The log would contain files that the policy blocked or that could not be loaded.
    assert [line for line in seen.stderr.splitlines() if ":CONSOLE:" in line] == []
