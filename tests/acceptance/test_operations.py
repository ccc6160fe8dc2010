"""Endpoints for operators: health, metrics and the description of the API."""

import re
import time
import uuid
from base64 import b64encode
from collections import Counter
from hashlib import sha384
from typing import Any

import pytest

from tests.acceptance.service import ITEMS, PROBLEM, Json, Service, body_of, must, must_answer

SETTLING_SECONDS = 2.0
SAMPLE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{.*\})? (\S+)( \d+)?$")

# The headers that the contract requires of responses.
HEADERS = {"cache-control", "etag", "location", "retry-after", "server-timing", "x-cache", "x-request-id"}
DOCUMENTED = {
    (ITEMS, "post"): {"201", "409", "422"},
    (ITEMS, "get"): {"200", "304", "422"},
    (f"{ITEMS}/{{}}", "get"): {"200", "304", "404", "422"},
    (f"{ITEMS}/{{}}", "patch"): {"200", "404", "409", "422"},
    (f"{ITEMS}/{{}}", "delete"): {"204", "404", "422"},
    (f"{ITEMS}/batch", "post"): {"201", "409", "422"},
    (f"{ITEMS}/export", "get"): {"200"},
    (f"{ITEMS}/summary", "get"): {"200"},
    ("/health/live", "get"): {"200"},
    ("/health/ready", "get"): {"200", "503"},
}


def test_the_service_is_alive(service: Service) -> None:
    must_answer(service.send("GET", "/health/live"), 200, "a service that serves is alive")


def test_the_service_is_ready_and_shows_the_latency_of_each_dependency(service: Service) -> None:
    answer = must_answer(
        service.send("GET", "/health/ready"), 200, "a service whose dependencies are up is ready"
    )
    latencies = [number for number in _numbers(answer.json()) if number >= 0]
    wanted = 2 if service.cache == "redis" else 1
    must(len(latencies) >= wanted, f"readiness shows the latency of each of {wanted} dependencies", answer)


def _numbers(document: Json) -> list[float]:
    if isinstance(document, dict):
        return [number for value in document.values() for number in _numbers(value)]
    if isinstance(document, list):
        return [number for value in document for number in _numbers(value)]
    return [document] if isinstance(document, float | int) and not isinstance(document, bool) else []


# --- Metrics ------------------------------------------------------------------------------------


def _samples(service: Service) -> list[tuple[str, str, float]]:
    """Return name, labels and value of every sample, from the worker that responds."""
    answer = must_answer(service.on_new_connection("/metrics"), 200, "there are metrics")
    media_type = answer.headers["Content-Type"].partition(";")[0]
    must(media_type in {"text/plain", "application/openmetrics-text"}, "metrics are Prometheus text", answer)
    lines = [line for line in answer.text.splitlines() if line and not line.startswith("#")]
    matches = [SAMPLE.match(line) for line in lines]
    must(all(matches), "every line of the metrics is a sample or a comment", answer)
    return [(match[1], match[2] or "", float(match[3])) for match in matches if match]


def _item_counts(service: Service) -> Counter[str]:
    """Return, by metric, the sum over all series about requests of items."""
    counts: Counter[str] = Counter()
    for name, labels, value in _samples(service):
        if ITEMS in labels and name.endswith(("_total", "_count")):
            counts[name] += value  # type: ignore[assignment]
    return counts


def _settled_counts(service: Service) -> Counter[str]:
    """Return the counts when they stop changing: a request may be counted after its response was sent."""
    deadline = time.monotonic() + SETTLING_SECONDS
    counts = _item_counts(service)
    while time.monotonic() < deadline:
        time.sleep(0.05)
        earlier, counts = counts, _item_counts(service)
        if counts == earlier:
            break
    return counts


@pytest.mark.parametrize("count", [1, 40])
def test_metrics_count_every_request_over_all_workers(count: int, service: Service) -> None:
    item = service.create()
    before = _settled_counts(service)
    service.many(lambda _: service.on_new_connection(f"{ITEMS}/{item['id']}"), count)
    growths = {name: value - before[name] for name, value in _settled_counts(service).items()}
    assert count in growths.values(), (
        f"some counter of requests grows by the {count} that were made: {growths}"
    )


def test_metrics_show_the_delay_of_the_event_loop(service: Service) -> None:
    looks = [value for name, _, value in _samples(service) if name == "event_loop_lag_seconds_count"]
    must(sum(looks) > 0, "the event loop is monitored", service.on_new_connection("/metrics"))


def test_metrics_are_the_same_whichever_worker_responds(service: Service) -> None:
    service.many(lambda _: service.on_new_connection(f"{ITEMS}?limit=1"), 10)
    settled = _settled_counts(service)
    told = service.many(lambda _: _item_counts(service), 8 * service.workers)
    assert all(counts == settled for counts in told), f"metrics are the same from every worker: {told}"


def test_metrics_distinguish_routes_but_not_paths(service: Service) -> None:
    item = service.create()
    stranger = uuid.uuid4().hex
    service.get(item["id"])
    service.send("GET", f"/{stranger}")
    text = service.send("GET", "/metrics").text
    assert item["id"] not in text, "metrics have no series per item"
    assert stranger not in text.lower(), "unknown paths and methods cannot create new series"


def test_metrics_distinguish_statuses(service: Service) -> None:
    service.get(str(uuid.uuid4()))
    labels = [labels for _, labels, _ in _samples(service) if ITEMS in labels]
    assert any('"404"' in label or '"4xx"' in label for label in labels), (
        "metrics distinguish failures from successes"
    )


# --- Documentation ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def openapi(service: Service) -> dict[str, Any]:
    """The description of the API."""
    description: dict[str, Any] = body_of(
        service.send("GET", "/openapi.json"), 200, "the API describes itself"
    )
    return description


def test_the_documentation_is_a_page(service: Service) -> None:
    answer = must_answer(service.send("GET", "/docs"), 200, "there is documentation")
    must(answer.headers["Content-Type"].startswith("text/html"), "the documentation is a page", answer)


@pytest.mark.parametrize("encoding", ["identity", "gzip", "br", "zstd"])
def test_the_page_loads_only_files_of_the_service(encoding: str, service: Service) -> None:
    page = service.send("GET", "/docs")
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    must(len(loaded) >= 3, "the page loads scripts and styles", page)
    for path in loaded:
        must("//" not in path, f"nothing is loaded from elsewhere, as {path} would be", page)
        answer = service.send("GET", f"/{path}", headers={"Accept-Encoding": encoding})
        must_answer(answer, 200, f"the service has {path}, which the page loads")
        digest = b64encode(sha384(answer.content).digest()).decode()
        pinned = (
            f'"{path}" integrity=' not in page.text or f'"{path}" integrity="sha384-{digest}"' in page.text
        )
        must(pinned, f"{path} is the file that the page expects", answer)


def test_a_browser_may_load_nothing_from_elsewhere(service: Service) -> None:
    page = service.send("GET", "/docs")
    policy = page.headers.get("Content-Security-Policy", "")
    must("default-src 'none'" in policy and "script-src 'self'" in policy, "the page has a policy", page)
    must("unsafe" not in policy and "*" not in policy, "the policy allows nothing unsafe", page)
    must(re.search(r"<script[^>]*>\s*[^<\s]|\son\w+=", page.text) is None, "no script is inline", page)


def _responses(openapi: dict[str, Any], path: str, method: str) -> dict[str, Any]:
    by_shape = {re.sub(r"\{\w+\}", "{}", where): operations for where, operations in openapi["paths"].items()}
    assert method in by_shape.get(path, {}), f"the documentation has {method.upper()} {path}"
    responses: dict[str, Any] = by_shape[path][method]["responses"]
    return responses


@pytest.mark.parametrize(("path", "method"), DOCUMENTED)
def test_every_response_of_the_contract_is_documented(
    path: str, method: str, openapi: dict[str, Any]
) -> None:
    responses = _responses(openapi, path, method)
    missing = sorted(DOCUMENTED[path, method] - responses.keys())
    assert not missing, f"{method.upper()} {path} documents {missing}"


@pytest.mark.parametrize(("path", "method"), DOCUMENTED)
def test_documented_errors_are_problems(path: str, method: str, openapi: dict[str, Any]) -> None:
    for status, response in _responses(openapi, path, method).items():
        if status >= "400":
            content = list(response.get("content", {}))
            assert content == [PROBLEM], (
                f"{method.upper()} {path} documents {status} as {PROBLEM}, not {content}"
            )


def test_the_headers_of_the_contract_are_documented_where_they_are_sent(
    service: Service, openapi: dict[str, Any]
) -> None:
    one = f"{ITEMS}/{{}}"
    item = service.create()["id"]
    read = service.get(item)
    page = service.send("GET", ITEMS)
    etags = {"If-None-Match": page.headers["ETag"]}
    answers = [
        (ITEMS, "post", service.post()),
        (ITEMS, "get", page),
        (ITEMS, "get", service.send("GET", ITEMS, headers=etags)),
        (one, "get", read),
        (one, "get", service.get(item, **{"If-None-Match": read.headers["ETag"]})),
        (one, "patch", service.patch(item, price_cents=1)),
        (one, "delete", service.delete(item)),
        (one, "get", service.get(str(uuid.uuid4()))),
        (f"{ITEMS}/summary", "get", service.send("GET", f"{ITEMS}/summary")),
    ]
    for path, method, answer in answers:
        response = _responses(openapi, path, method)[str(answer.status_code)]
        documented = {name.lower() for name in response["headers"]}
        sent = {name for name in HEADERS if name in answer.headers}
        must(sent == documented, f"the sent headers are documented, not {sorted(sent ^ documented)}", answer)


def test_the_export_is_documented_as_ndjson(openapi: dict[str, Any]) -> None:
    content = list(_responses(openapi, f"{ITEMS}/export", "get")["200"]["content"])
    assert content == ["application/x-ndjson"], f"the export is documented as NDJSON, not {content}"


def test_the_documentation_has_the_limits_of_an_item(openapi: dict[str, Any]) -> None:
    text = str(openapi)
    for limit in (
        "'maxLength': 200",
        "'maxLength': 2000",
        "'maxItems': 20",
        "'maxLength': 50",
        "'maximum': 9007199254740991",
    ):
        assert limit in text, f"the documentation has {limit}"
    assert "'additionalProperties': False" in text, "the documentation states that unknown fields are refused"
