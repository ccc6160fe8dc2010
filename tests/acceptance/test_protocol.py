"""Unusual requests on a connection: unknown upgrades, long heads, unexpected bodies, HTTP/1.0."""

import json
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from tests.acceptance.service import ITEMS, PROBLEM, Json, Service, must, must_answer

# Nginx waits 10 seconds for the rest of a body.
PATIENCE_SECONDS = 15.0
H2C = {
    "Upgrade": "h2c",
    "Connection": "Upgrade, HTTP2-Settings",
    "HTTP2-Settings": "AAMAAABkAAQCAAAAAAIAAAAA",
}
BODILESS = ["GET", "DELETE", "QUERY", "HEAD", "OPTIONS"]


@dataclass(frozen=True)
class Answer:
    """A response that came over a separate connection, which the service has closed."""

    status: int
    headers: dict[str, str]
    body: bytes

    def problem(self) -> Json:
        """Return its problem details, which must be complete."""
        assert self.headers["content-type"] == PROBLEM, self
        assert int(self.headers["content-length"]) == len(self.body), self
        problem = json.loads(self.body)
        assert problem["status"] == self.status, self
        assert problem["request_id"] == self.headers["x-request-id"], self
        assert problem["title"] != "Error", self
        return problem


def answers_to(service: Service, sent: bytes) -> list[Answer]:
    """Return the responses until the service closes the connection."""
    where = urlsplit(service.base_url)
    address = str(where.hostname), where.port or 80
    received = b""
    with socket.create_connection(address, timeout=PATIENCE_SECONDS) as connection:
        connection.sendall(sent)
        while chunk := connection.recv(65_536):
            received += chunk
    return list(_parsed(received))


def _parsed(received: bytes) -> list[Answer]:
    answers = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        fields = (line.partition(":") for line in lines)
        headers = {name.lower(): value.strip() for name, _, value in fields}
        code = int(status.split()[1])
        length = int(headers.get("content-length", len(rest))) if code >= 200 else 0
        answers.append(Answer(code, headers, rest[:length]))
        received = rest[length:]
    return [answer for answer in answers if answer.status >= 200]


def head(*lines: str, method: str = "GET", path: str = "/health/live", version: str = "1.1") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/{version}", "Host: test", *lines, "", ""]).encode()


def credentials(service: Service) -> list[str]:
    return [f"{name}: {value}" for name, value in service.credentials.items()]


def post(service: Service, *lines: str) -> bytes:
    body = json.dumps(service.draft()).encode()
    known = ["Content-Type: application/json", f"Content-Length: {len(body)}", *credentials(service)]
    return head(*known, *lines, method="POST", path=ITEMS) + body


def offer(value: str) -> list[str]:
    return [f"Upgrade: {value}", "Connection: Upgrade"]


CLOSE = "Connection: close"


# --- Upgrades -----------------------------------------------------------------------------------


def test_a_body_with_an_offer_of_http2_arrives(service: Service) -> None:
    """As `curl --http2` and Java's client send it, with or without a length."""
    for _ in range(3):
        body = json.dumps(service.draft()).encode()
        headers = H2C | {"Content-Type": "application/json"}
        answer = service.send("POST", ITEMS, content=body, headers=headers)
        must_answer(answer, 201, "a body with an offer of HTTP/2 is read")
        body = json.dumps(service.draft()).encode()
        answer = service.send("POST", ITEMS, content=iter([body[:9], body[9:]]), headers=headers)
        must_answer(answer, 201, "a body with an offer of HTTP/2 is read, with or without a length")


@pytest.mark.parametrize("value", ["h2c", "TLS/1.2, h2c", "websocket", "WebSocket/2", "x" * 200, "\xff"])
def test_any_other_offer_is_ignored_and_the_connection_stays_open(value: str, service: Service) -> None:
    lines = offer(value)
    pipelined = head() + post(service, *lines) + post(service, *lines) + head(*lines) + head(CLOSE)
    assert [answer.status for answer in answers_to(service, pipelined)] == [200, 201, 201, 200, 200]


def test_a_body_with_an_offer_is_waited_for(service: Service) -> None:
    answers = answers_to(service, post(service, *offer("h2c"), "Expect: 100-continue") + head(CLOSE))
    assert [answer.status for answer in answers] == [201, 200]


def test_connect_is_refused(service: Service) -> None:
    (answer,) = answers_to(service, head(CLOSE, method="CONNECT", path="test:443"))
    assert 400 <= answer.status <= 501


# --- Heads --------------------------------------------------------------------------------------


def fields(count: int, size: int) -> list[str]:
    return [f"X-{number}: {'x' * size}" for number in range(count)]


TOO_LONG = [
    pytest.param(head(*fields(1, 80_000)), 431, id="one header"),
    pytest.param(head(*fields(40, 2_000)), 431, id="headers"),
    pytest.param(head(CLOSE, *fields(200, 1)), 431, id="count of headers"),
    pytest.param(head(path=f"/{'x' * 20_000}"), 414, id="url"),
    pytest.param(head()[:-2] + b"X: " + b"x" * 500_000, 431, id="endless header"),
    pytest.param(b"GET /" + b"x" * 500_000, 414, id="endless url"),
]


@pytest.mark.parametrize(("sent", "status"), TOO_LONG)
def test_a_head_that_is_too_long_is_refused_with_a_problem(
    sent: bytes, status: int, service: Service
) -> None:
    (answer,) = answers_to(service, sent)
    assert answer.status == status
    assert answer.problem()["detail"]


def test_a_head_within_the_limits_is_read(service: Service) -> None:
    long = head(CLOSE, *fields(28, 2_000), path=f"/health/live?{'x' * 8_000}")
    assert [answer.status for answer in answers_to(service, long)] == [200]
    assert [answer.status for answer in answers_to(service, head(CLOSE, *fields(90, 1)))] == [200]


def test_responses_before_a_refusal_arrive(service: Service) -> None:
    answers = answers_to(service, head() + post(service) + head(CLOSE, *fields(200, 1)))
    assert [answer.status for answer in answers] == [200, 201, 431]


# --- Around a body ------------------------------------------------------------------------------


def chunked(service: Service, end: bytes) -> bytes:
    body = json.dumps(service.draft()).encode()
    lines = ["Content-Type: application/json", "Transfer-Encoding: chunked", CLOSE, *credentials(service)]
    return head(*lines, method="POST", path=ITEMS) + b"%x\r\n%s\r\n" % (len(body), body) + end


def test_trailers_are_read_but_do_not_become_headers(service: Service) -> None:
    (answer,) = answers_to(service, chunked(service, b"0\r\nX-Request-ID: trailer\r\n\r\n"))
    assert answer.status == 201
    assert answer.headers["x-request-id"] != "trailer"


ENDLESS = [b"0\r\nX: " + b"x" * 300_000, b"5;x=" + b"x" * 300_000, b"0" * 300_000]


@pytest.mark.parametrize("end", ENDLESS, ids=["trailer", "extension", "length"])
def test_chunk_lengths_extensions_and_trailers_are_limited(end: bytes, service: Service) -> None:
    try:
        answers = answers_to(service, chunked(service, end))
    except ConnectionResetError:
        answers = []
    assert all(400 <= answer.status < 500 for answer in answers)


@pytest.mark.parametrize(
    "sent", [b"GARBAGE\r\n\r\n", b"GET / HTTP/1.1\r\nHost test\r\n\r\n"], ids=["line", "header"]
)
def test_an_invalid_request_is_refused_with_a_problem(sent: bytes, service: Service) -> None:
    (answer,) = answers_to(service, sent)
    assert answer.status == 400
    assert answer.problem()["title"] == "Bad Request"


# --- Bodies -------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", BODILESS)
@pytest.mark.parametrize("path", [ITEMS, f"{ITEMS}/{'0' * 8}-0000-7000-8000-{'0' * 12}", "/health/live"])
def test_a_body_over_the_limit_is_refused_for_every_method(method: str, path: str, service: Service) -> None:
    body = b" " * (service.max_body_bytes + 1)
    for content in (body, iter([body])):
        answer = service.send(method, path, content=content)
        must_answer(answer, 413, f"a body over the limit is refused for {method}")


def test_a_body_that_no_endpoint_reads_does_no_harm(service: Service) -> None:
    for content in (b"{}", iter([b"{}"])):
        answer = service.send("GET", "/health/live", content=content)
        must_answer(answer, 200, "a body that is not read does no harm")


def test_query_is_counted_by_its_name(service: Service) -> None:
    service.send("QUERY", "/health/live")
    answer = service.on_new_connection("/metrics")
    must('method="QUERY"' in answer.text, "QUERY is counted by its name", answer)


# --- HTTP/1.0 -----------------------------------------------------------------------------------


@pytest.mark.parametrize("lines", [(), ("Connection: keep-alive",), (CLOSE,)], ids=["plain", "keep", "close"])
@pytest.mark.parametrize("path", ["/health/live", f"{ITEMS}/export", "/openapi.json", "/nope"])
def test_an_http_1_0_client_gets_a_response(path: str, lines: tuple[str, ...], service: Service) -> None:
    service.create()
    # Nginx keeps the connection open if asked to, until the second request; the others close it at once.
    sent = head(*lines, *credentials(service), path=path, version="1.0") + head(CLOSE, version="1.0")
    answer, *_ = answers_to(service, sent)
    assert answer.status == (404 if path == "/nope" else 200)
    assert "transfer-encoding" not in answer.headers, "HTTP/1.0 has no chunks."
    documents = answer.body.splitlines() if path.endswith("export") else [answer.body]
    assert all(json.loads(document) for document in documents)
