"""Nginx in front of the service, by its settings. Each test asks a running Nginx."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx2
import pytest

from testkit.servers.process import free_port
from tests.faults.certificates import DAY, KeyPair, key_pair
from tests.faults.clients import CLIENT_SECONDS, ITEMS, draft, new_client
from tests.faults.deployment import POLL_SECONDS, Deployment
from tests.faults.processes import held_directories

# Its configuration depends on the settings, and on how it compresses.
pytestmark = [pytest.mark.only(deployment={"nginx"}), pytest.mark.depends("compression")]

PROBLEM = "application/problem+json"
# A client on another machine, as a trusted proxy reports it.
OUTSIDE = "203.0.113.7"
CLOSED = [
    "/metrics",
    "/docs",
    "/docs/swagger-ui.css",
    "/openapi.json",
    "/%6Detrics",
    "//metrics",
    "/x/../metrics",
]
RELOAD_SECONDS = 20.0


def problem_of(response: httpx2.Response, status: int) -> dict[str, Any]:
    """Return the problem that is answered with this status."""
    assert (response.status_code, response.headers["Content-Type"]) == (status, PROBLEM), response.text
    problem: dict[str, Any] = response.json()
    assert problem["status"] == status
    assert problem["request_id"] == response.headers["X-Request-ID"]
    assert problem["title"] != "Error"
    return problem


def eventually(holds: Callable[[], object]) -> None:
    """Return when it holds, or fail."""
    deadline = time.monotonic() + RELOAD_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(POLL_SECONDS)


def access_lines(service: Deployment, request_id: str, count: int = 1) -> list[dict[str, Any]]:
    """Return the lines of the access log with this id, when there are so many."""
    found: list[dict[str, Any]] = []

    def are_there() -> bool:
        text = service.log.read_text(errors="replace")
        lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        found[:] = [line for line in lines if line.get("request_id") == request_id and "status" in line]
        return len(found) >= count

    eventually(are_there)
    return found


# --- HTTPS --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> KeyPair:
    """A certificate that a service can serve."""
    return key_pair(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="session")
def http_port() -> int:
    """The port that is redirected."""
    return free_port()


@pytest.fixture
def https(service: Deployment, pair: KeyPair, http_port: int) -> Deployment:
    """The service with HTTPS and a redirect."""
    service.running(**pair.settings, HTTP_PORT=http_port)
    return service


def handshake(port: int, context: ssl.SSLContext) -> ssl.SSLSocket:
    """Return a connection to the port of HTTPS, after its handshake."""
    plain = socket.create_connection(("127.0.0.1", port), CLIENT_SECONDS)
    return context.wrap_socket(plain, server_hostname="example.test")


def trusting(pair: KeyPair) -> ssl.SSLContext:
    """Return the context of a client that trusts this certificate."""
    context = ssl.create_default_context(cafile=pair.certificate)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def serial_number(port: int) -> str:
    """Return which certificate is served."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with handshake(port, context) as connection:
        shown = connection.getpeercert(binary_form=True)
        assert shown is not None
        return shown.hex()


def test_https_is_served_with_http_2_to_clients_that_offer_it(https: Deployment, pair: KeyPair) -> None:
    context = trusting(pair)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with handshake(https.port, context) as connection:
        assert connection.selected_alpn_protocol() == "h2"
        assert connection.version() == "TLSv1.3"
        assert status_over_http_2(connection, b"/health/live") == b"\x88"
    context.set_alpn_protocols(["http/1.1"])
    with handshake(https.port, context) as connection:
        assert connection.selected_alpn_protocol() == "http/1.1"


def status_over_http_2(connection: ssl.SSLSocket, path: bytes) -> bytes:
    """Return the first field of the response's head, as RFC 7541 writes it: 0x88 is `:status: 200`."""
    host = b"example.test"
    head = b"\x82\x87\x04" + bytes([len(path)]) + path + b"\x01" + bytes([len(host)]) + host
    settings, headers, end = 4, 1, 0x5
    frames = frame(settings, 0, 0, b"") + frame(headers, end, 1, head)
    connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frames)
    with connection.makefile("rb") as reader:
        while True:
            length, kind = int.from_bytes(reader.read(3)), reader.read(1)[0]
            reader.read(5)
            payload = reader.read(length)
            if kind == headers:
                # The size of Nginx's dynamic table may come first.
                return payload.lstrip(b"\x20")[:1]


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Return a frame of HTTP/2: RFC 9113, section 4.1."""
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


def test_weak_ciphers_and_old_protocols_are_refused(https: Deployment) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    with handshake(https.port, context) as connection:
        assert connection.version() == "TLSv1.2"
    context.set_ciphers("ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError):
        handshake(https.port, context)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        handshake(https.port, context)


def test_browsers_are_told_to_use_https_only(https: Deployment) -> None:
    with new_client(https.url) as client:
        answers = [client.get("/health/live"), client.get("/nowhere"), client.get(ITEMS)]
    policies = {answer.headers["Strict-Transport-Security"] for answer in answers}
    assert policies == {"max-age=63072000"}


def test_the_service_knows_that_its_client_uses_https(https: Deployment) -> None:
    with new_client(https.url) as client:
        assert client.get("/owner/seen").json()["scheme"] == "https"


def test_plain_http_is_redirected_with_path_and_query(https: Deployment, http_port: int) -> None:
    wanted = f"https://127.0.0.1:{https.port}/api/v1/items?limit=1"
    with new_client(f"http://127.0.0.1:{http_port}") as client:
        answers = [client.get("/api/v1/items?limit=1"), client.post("/api/v1/items?limit=1", json=draft())]
    with new_client(f"http://127.0.0.1:{https.port}") as client:
        answers.append(client.get("/api/v1/items?limit=1"))
    assert [(answer.status_code, answer.headers["Location"]) for answer in answers] == [(308, wanted)] * 3
    assert all("Strict-Transport-Security" not in answer.headers for answer in answers)


def test_plain_http_is_redirected_to_the_public_url(
    service: Deployment, pair: KeyPair, http_port: int
) -> None:
    service.running(**pair.settings, HTTP_PORT=http_port, PUBLIC_URL="https://api.example.test/shop")
    with new_client(f"http://127.0.0.1:{http_port}") as client:
        assert client.get("/shop/a").headers["Location"] == "https://api.example.test/shop/a"


def test_a_renewed_certificate_is_loaded_and_a_bad_one_is_not(service: Deployment, tmp_path: Path) -> None:
    pair = key_pair(tmp_path)
    service.running(**pair.settings)
    first = serial_number(service.port)
    key_pair(tmp_path)
    os.kill(service.pid, signal.SIGHUP)
    eventually(lambda: serial_number(service.port) != first)

    second = serial_number(service.port)
    key_pair(tmp_path, begins=-2 * DAY, ends=-DAY)
    os.kill(service.pid, signal.SIGHUP)
    eventually(lambda: "Nginx keeps its certificate" in service.log.read_text(errors="replace"))
    assert serial_number(service.port) == second
    assert service.is_ready()


def faulty(folder: Path, fault: str) -> KeyPair:
    """Return a certificate with this fault."""
    good, other = key_pair(folder / "good"), key_pair(folder / "other")
    text = folder / "text.pem"
    text.write_text("not a certificate")
    return {
        "missing certificate": lambda: KeyPair(folder / "none.pem", good.key),
        "missing key": lambda: KeyPair(good.certificate, folder / "none.pem"),
        "expired": lambda: key_pair(folder / "old", -3 * DAY, -DAY),
        "not yet valid": lambda: key_pair(folder / "new", DAY, 2 * DAY),
        "other key": lambda: KeyPair(good.certificate, other.key),
        "encrypted key": lambda: key_pair(folder / "locked", password=b"secret"),
        "no PEM": lambda: KeyPair(text, good.key),
    }[fault]()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("missing certificate", r"TLS_CERTIFICATE=\S+none.pem cannot be read \(No such file or directory\)"),
        ("missing key", r"TLS_CERTIFICATE_KEY=\S+none.pem cannot be read \(No such file or directory\)"),
        ("expired", r"TLS_CERTIFICATE=\S+ expired on \d{4}-\d\d-\d\d\. Renew it"),
        ("not yet valid", r"TLS_CERTIFICATE=\S+ is valid from \d{4}-\d\d-\d\d, which is in the future"),
        ("other key", r"TLS_CERTIFICATE_KEY=\S+ is the key of another certificate than TLS_CERTIFICATE=\S+"),
        ("encrypted key", r"TLS_CERTIFICATE_KEY=\S+ is encrypted"),
        ("no PEM", r"TLS_CERTIFICATE=\S+ and TLS_CERTIFICATE_KEY=\S+ cannot be served"),
    ],
)
def test_a_certificate_that_cannot_be_served_is_named_before_nginx_starts(
    fault: str, words: str, deployment: Deployment, tmp_path: Path
) -> None:
    said = deployment.refusal(**faulty(tmp_path, fault).settings)
    assert re.search(words, said), said
    assert "Traceback" not in said
    assert "refuses its configuration" not in said


def test_a_certificate_that_ends_soon_or_is_for_another_host_is_warned_of(
    service: Deployment, tmp_path: Path
) -> None:
    pair = key_pair(tmp_path, ends=timedelta(days=3, hours=1))
    service.running(**pair.settings, SERVER_NAMES="example.test,other.test")
    log = service.log.read_bytes()[service.log_begins_at :].decode()
    assert "expires in 3 days." in log
    assert "is not for other.test in SERVER_NAMES." in log
    assert "is not for example.test" not in log


def test_half_of_the_settings_of_https_are_refused_by_name(deployment: Deployment, pair: KeyPair) -> None:
    assert "set both TLS_CERTIFICATE and TLS_CERTIFICATE_KEY" in deployment.refusal(TLS_CERTIFICATE=pair.key)
    assert "HTTP_PORT redirects to HTTPS" in deployment.refusal(HTTP_PORT=8080)
    said = deployment.refusal(SERVER_NAMES="a b", INTERNAL_NETWORKS="10.0.0.0/99", RATE_LIMIT_PER_SECOND=-1)
    assert {"SERVER_NAMES=a b", "INTERNAL_NETWORKS=10.0.0.0/99", "RATE_LIMIT_PER_SECOND=-1"} <= {
        line.partition(":")[0] for line in said.splitlines()
    }


# --- Headers and hosts --------------------------------------------------------------------------------------


def test_headers_protect_browsers_unless_a_route_sets_its_own(service: Deployment) -> None:
    service.running()
    protecting = {
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Content-Security-Policy": "frame-ancestors 'none'",
        "Referrer-Policy": "no-referrer",
    }
    with new_client(service.url) as client:
        answers = [
            client.get(ITEMS),
            client.get("/nowhere"),
            client.get("/health/live"),
            client.get("/metrics"),
        ]
        answers.append(client.request("CONNECT", "/"))
        framed, docs = client.get("/owner/framed"), client.get("/docs")
    for answer in answers:
        assert {name: answer.headers.get(name) for name in protecting} == protecting, answer
        assert "Strict-Transport-Security" not in answer.headers
    assert framed.headers.get_list("Content-Security-Policy") == ["frame-ancestors 'self'"]
    assert framed.headers.get_list("X-Frame-Options") == ["SAMEORIGIN"]
    assert framed.headers["X-Content-Type-Options"] == "nosniff"
    assert docs.headers.get_list("Content-Security-Policy")[0].startswith("default-src 'none'")
    assert docs.headers.get_list("X-Content-Type-Options") == ["nosniff"]


@pytest.mark.parametrize(
    ("host", "is_served"),
    [
        ("api.example.test", True),
        ("API.Example.test:8443", True),
        ("a.b.example.org", True),
        ("example.org", False),
        ("example.test", False),
        ("127.0.0.1", False),
        ("api.example.test.evil.test", False),
    ],
)
def test_only_the_hosts_of_the_service_are_served(host: str, is_served: bool, service: Deployment) -> None:
    service.running(SERVER_NAMES="api.example.test, *.example.org")
    with new_client(service.url) as client:
        answer = client.get("/owner/seen", headers={"Host": host})
        probe = client.get("/health/ready", headers={"Host": host})
        direct = client.get("/nginx-problem", headers={"Host": host})
    if is_served:
        assert answer.json()["host"] == host.lower()
    else:
        problem_of(answer, 421)
    assert probe.status_code == 200
    assert direct.status_code == 404


def test_a_request_without_a_host_is_not_served_for_a_host(service: Deployment) -> None:
    service.running(SERVER_NAMES="api.example.test, *.example.org")
    with socket.create_connection(("127.0.0.1", service.port), CLIENT_SECONDS) as connection:
        connection.sendall(b"GET /owner/seen HTTP/1.0\r\n\r\n")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 421 ")


# --- Clients behind another proxy ---------------------------------------------------------------------------


def test_the_address_of_a_client_behind_a_trusted_proxy_is_its_own(service: Deployment) -> None:
    service.running()
    with new_client(service.url) as client:
        seen = client.get("/owner/seen", headers={"X-Forwarded-For": f"198.51.100.1, {OUTSIDE}"})
        chain = client.get("/owner/seen", headers={"X-Forwarded-For": f"{OUTSIDE}, 127.0.0.1"})
    assert seen.json()["client"] == chain.json()["client"] == OUTSIDE
    service.running(FORWARDED_ALLOW_IPS="192.0.2.1")
    with new_client(service.url) as client:
        seen = client.get("/owner/seen", headers={"X-Forwarded-For": OUTSIDE})
    assert seen.json()["client"] == "127.0.0.1"


@pytest.mark.parametrize("path", CLOSED)
def test_metrics_and_documentation_are_closed_to_the_outside(path: str, service: Deployment) -> None:
    service.running()
    # Other clients normalize the path.
    with closing(HTTPConnection("127.0.0.1", service.port, timeout=CLIENT_SECONDS)) as connection:
        connection.request("GET", path, headers={"X-Forwarded-For": OUTSIDE})
        response = connection.getresponse()
        problem = json.loads(response.read())
    assert (response.status, response.headers["Content-Type"], problem["status"]) == (403, PROBLEM, 403)


def test_metrics_and_documentation_are_open_to_this_machine(service: Deployment) -> None:
    service.running()
    with new_client(service.url) as client:
        for path in ("/metrics", "/docs", "/docs/swagger-ui.css", "/openapi.json"):
            assert client.get(path).status_code == 200, path


def test_metrics_and_documentation_are_open_to_the_networks_that_are_named(service: Deployment) -> None:
    service.running(INTERNAL_NETWORKS="203.0.113.0/24")
    with new_client(service.url) as client:
        assert client.get("/metrics", headers={"X-Forwarded-For": OUTSIDE}).status_code == 200
        problem_of(client.get("/docs", headers={"X-Forwarded-For": "198.51.100.1"}), 403)
        assert client.get("/metrics/", headers={"X-Forwarded-For": "198.51.100.1"}).status_code != 200


# --- Limits -------------------------------------------------------------------------------------------------


def test_a_client_over_its_rate_is_refused_and_others_are_not(service: Deployment) -> None:
    service.running(RATE_LIMIT_PER_SECOND=1, RATE_LIMIT_BURST=3)
    with new_client(service.url) as client:
        answers = [client.get("/nowhere", headers={"X-Forwarded-For": OUTSIDE}) for _ in range(30)]
        other = client.get("/nowhere", headers={"X-Forwarded-For": "198.51.100.1"})
        health = {client.get("/health/live").status_code for _ in range(30)}
    refused = [answer for answer in answers if answer.status_code == 429]
    assert [answer.status_code for answer in answers[:4]] == [404] * 4, (
        "a burst of three more may arrive at once"
    )
    assert len(refused) >= 15
    problem_of(refused[0], 429)
    assert refused[0].headers["Retry-After"] == "1"
    assert other.status_code == 404
    assert health == {200}


def test_a_client_with_too_many_connections_is_refused(service: Deployment) -> None:
    service.running(CONNECTION_LIMIT=2)

    def wait(_: int) -> int:
        with new_client(service.url) as client:
            return client.get("/owner/worker?seconds=2").status_code

    with ThreadPoolExecutor(4) as threads:
        statuses = sorted(threads.map(wait, range(4)))
    assert statuses == [200, 200, 429, 429]


def test_without_settings_nothing_is_limited(service: Deployment) -> None:
    service.running()
    with new_client(service.url) as client:
        assert {client.get("/nowhere").status_code for _ in range(100)} == {404}


# --- The access log -----------------------------------------------------------------------------------------


def test_the_access_log_has_one_line_for_each_request_with_upstream_times(service: Deployment) -> None:
    service.running(ACCESS_LOG="true")
    passed, refused = uuid.uuid4().hex, uuid.uuid4().hex
    with new_client(service.url) as client:
        headers = {"X-Request-ID": passed, "X-Forwarded-For": OUTSIDE}
        client.get(f"{ITEMS}/{uuid.uuid4()}?token=secret", headers=headers)
        client.get("/metrics", headers=headers | {"X-Request-ID": refused})
        client.get("/nowhere", headers={"X-Request-ID": "last" + passed})
    (line,), (closed,) = access_lines(service, passed), access_lines(service, refused)
    access_lines(service, "last" + passed)
    assert len(access_lines(service, passed)) == 1, "a worker logs nothing that Nginx logs"
    assert (line["logger"], line["method"], line["status"], line["client"]) == ("nginx", "GET", 404, OUTSIDE)
    assert (line["scheme"], line["protocol"]) == ("http", "HTTP/1.1")
    assert re.fullmatch(ITEMS + r"/\{\w+\}", line["route"])
    assert line["path"].startswith(f"{ITEMS}/")
    assert "secret" not in str(line)
    assert line["upstream"].startswith("unix:")
    assert line["upstream_status"] == "404"
    for name in ("connect", "header", "response"):
        assert 0 <= float(line[f"upstream_{name}_seconds"]) <= line["milliseconds"] / 1_000 + 0.002
    assert (closed["status"], closed["upstream"], closed["upstream_response_seconds"]) == (403, "", "")


def test_the_headers_for_nginx_do_not_reach_clients(service: Deployment) -> None:
    service.running(ACCESS_LOG="true")
    with new_client(service.url) as client:
        names = set(client.get(ITEMS).headers)
    assert not {name for name in names if name.startswith("x-accel")}


# --- Failover -----------------------------------------------------------------------------------------------


def test_reads_of_a_worker_that_dies_are_answered_by_another(service: Deployment) -> None:
    service.running()

    def wait(_: int) -> tuple[int, int]:
        with new_client(service.url) as client:
            answer = client.get("/owner/worker?seconds=1.5")
        return answer.status_code, answer.json().get("pid")

    with ThreadPoolExecutor(8) as threads:
        answering = threads.map(wait, range(8))
        time.sleep(0.7)
        victim = service.kill_worker()
        answers = list(answering)
    service.wait_until_ready()
    assert [status for status, _ in answers] == [200] * 8
    assert victim not in {pid for _, pid in answers}


# --- The micro-cache ----------------------------------------------------------------------------------------


@pytest.fixture
def cached(service: Deployment) -> Deployment:
    """The service with a micro-cache."""
    service.running(MICRO_CACHE_SECONDS=2, ACCESS_LOG="true")
    return service


def statuses(client: httpx2.Client, path: str, **headers: str) -> tuple[str, str]:
    """Return of two requests in a row whether they got the same bytes, and what the second says."""
    first, second = client.get(path, headers=headers), client.get(path, headers=headers)
    return ("same" if first.content == second.content else "other"), second.headers["Cache-Status"]


HIT = ("same", "nginx; hit")
MISS = ("other", "nginx; fwd=miss")


@pytest.mark.parametrize(
    ("control", "status", "expected"),
    [
        ("max-age=60", 200, HIT),
        ("public, s-maxage=60, max-age=0", 200, HIT),
        ("max-age=60", 404, HIT),
        ("max-age=0", 200, MISS),
        ("s-maxage=0, max-age=60", 200, MISS),
        ("no-cache", 200, MISS),
        ("no-store, max-age=60", 200, MISS),
        ("private, max-age=60", 200, MISS),
        ('no-cache="set-cookie", max-age=60', 200, MISS),
        ("max-age=60", 503, MISS),
    ],
)
def test_what_its_route_lets_caches_keep_is_kept(
    control: str, status: int, expected: tuple[str, str], cached: Deployment
) -> None:
    path = str(httpx2.URL("/owner/unique", params={"control": control, "status": status}))
    with new_client(cached.url) as client:
        assert statuses(client, path) == expected


def test_the_micro_cache_forgets_in_time(cached: Deployment) -> None:
    with new_client(cached.url) as client:
        first = client.get("/owner/unique?of=time")
        assert client.get("/owner/unique?of=time").content == first.content
        time.sleep(3)
        assert client.get("/owner/unique?of=time").content != first.content


@pytest.mark.parametrize("name", ["Authorization", "Cookie", "X-API-Key"])
def test_a_request_with_credentials_neither_reads_nor_fills_the_micro_cache(
    name: str, cached: Deployment
) -> None:
    path = f"/owner/unique?of={name}"
    with new_client(cached.url) as client:
        assert statuses(client, path, **{name: "mine"}) == MISS
        public = client.get(path)
        assert client.get(path, headers={name: "mine"}).content != public.content
        assert client.get(path).content == public.content


def test_a_client_that_wants_a_fresh_response_gets_one(cached: Deployment) -> None:
    with new_client(cached.url) as client:
        first = client.get("/owner/unique?of=fresh")
        fresh = client.get("/owner/unique?of=fresh", headers={"Cache-Control": "no-cache"})
        assert fresh.content != first.content
        assert client.get("/owner/unique?of=fresh").content == fresh.content


def test_a_cached_response_has_its_own_request_id_and_answers_conditions(cached: Deployment) -> None:
    path = "/owner/unique?of=etag"
    with new_client(cached.url) as client:
        first = client.get(path)
        again = client.get(path, headers={"X-Request-ID": "again"})
        known = client.get(path, headers={"If-None-Match": first.headers["ETag"]})
        head = client.head(path)
    assert (again.headers["X-Request-ID"], again.headers["Server-Timing"]) == ("again", "nginx;dur=0")
    assert first.headers["X-Request-ID"] != "again"
    assert first.headers["Server-Timing"].startswith("app;dur=")
    assert (known.status_code, known.content, known.headers["ETag"]) == (304, b"", first.headers["ETag"])
    assert head.headers["ETag"] == first.headers["ETag"]
    assert all("X-Accel-Expires" not in answer.headers for answer in (first, again, known, head))
    (line,) = access_lines(cached, "again")
    assert (line["cache"], line["upstream"], line["route"]) == ("HIT", "", "/owner/unique")


def test_responses_that_vary_are_kept_apart(cached: Deployment) -> None:
    with new_client(cached.url) as client:
        mine = client.get("/owner/fresh", headers={"X-Tenant": "mine"})
        other = client.get("/owner/fresh", headers={"X-Tenant": "other"})
        again = client.get("/owner/fresh", headers={"X-Tenant": "mine"})
    assert mine.status_code == other.status_code == 200
    assert other.headers["Cache-Status"] == "nginx; fwd=miss"
    assert again.headers["Cache-Status"] in {"nginx; hit", "nginx; fwd=miss"}


def test_misses_at_the_same_time_are_one_request(cached: Deployment) -> None:
    def read(_: int) -> bytes:
        with new_client(cached.url) as client:
            return client.get("/owner/unique?of=flight").content

    with ThreadPoolExecutor(16) as threads:
        assert len(set(threads.map(read, range(16)))) == 1


def test_a_read_after_a_change_never_comes_from_the_micro_cache(cached: Deployment) -> None:
    with new_client(cached.url) as client:
        item = client.post(ITEMS, json=draft()).json()
        path = f"{ITEMS}/{item['id']}"
        for price in range(2, 12):
            client.get(path)
            changed = client.patch(path, json={"price_cents": price}, headers={"Connection": "keep-alive"})
            assert changed.status_code == 200
            assert client.get(path).headers["Cache-Status"] == "nginx; fwd=miss"
        assert client.get(ITEMS).headers["Cache-Status"] == "nginx; fwd=miss"


# --- The configuration --------------------------------------------------------------------------------------


def test_gixy_finds_nothing_in_the_configuration(service: Deployment, pair: KeyPair, http_port: int) -> None:
    everything = {
        "SERVER_NAMES": "api.example.test, *.example.org",
        "RATE_LIMIT_PER_SECOND": 1_000,
        "CONNECTION_LIMIT": 100,
        "MICRO_CACHE_SECONDS": 1,
        "ACCESS_LOG": "true",
        "HTTP_PORT": http_port,
    }
    for settings in ({}, everything | pair.settings):
        service.running(**settings)
        (runtime,) = {path for path in held_directories(service.pid) if path.name.startswith("nginx")}
        gixy = Path(sys.executable).with_name("gixy")
        command = [str(gixy), "--format=json", str(runtime / "nginx.conf")]
        found = subprocess.run(command, capture_output=True, text=True, check=False)
        assert json.loads(found.stdout) == [], found.stderr
