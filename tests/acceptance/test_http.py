"""Requirements of HTTP itself: conditional reads, problems, request ids, methods."""

import re
import socket
from functools import partial
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.acceptance.service import ITEMS, Item, Service, must, must_answer

# --- ETag and the cache -------------------------------------------------------------------------


@pytest.fixture
def etag(service: Service, item: Item) -> str:
    """The ETag of the new item."""
    return str(service.get(item["id"]).headers["ETag"])


def test_a_read_has_an_etag_and_cache_control(service: Service, item: Item) -> None:
    answer = must_answer(service.get(item["id"]), 200, "an item can be read")
    must(
        re.fullmatch(r'(W/)?"[\x21\x23-\x7e]+"', answer.headers.get("ETag", "")) is not None,
        "a read has an ETag",
        answer,
    )
    must("Cache-Control" in answer.headers, "a read has Cache-Control", answer)


@pytest.mark.parametrize(
    "pattern",
    [
        "{strong}",
        "W/{strong}",
        '"x", {strong}',
        '"x",{strong}',
        '{strong}, "x"',
        'W/"x", W/{strong}',
        '"a,b", {strong}',
        "*",
    ],
)
def test_a_matching_if_none_match_returns_304(pattern: str, service: Service, item: Item, etag: str) -> None:
    condition = pattern.format(strong=etag.removeprefix("W/"))
    for _ in range(2):
        answer = must_answer(
            service.get(item["id"], **{"If-None-Match": condition}), 304, f"{condition} matches"
        )
        must(answer.content == b"", "304 has no body", answer)
        must(answer.headers.get("ETag") == etag, "304 repeats the ETag", answer)
        must("Cache-Control" in answer.headers, "304 repeats Cache-Control", answer)


@pytest.mark.parametrize(
    "condition", ['"x"', 'W/"x"', '"x", "y"', "x", "", '""', '"', ",", "W/", '"*"', "\\"]
)
def test_a_different_if_none_match_returns_200(
    condition: str, service: Service, item: Item, etag: str
) -> None:
    for _ in range(2):
        answer = must_answer(
            service.get(item["id"], **{"If-None-Match": condition}), 200, f"{condition} does not match"
        )
        must(answer.json() == item, "a read that does not match has the item", answer)
        must(answer.headers.get("ETag") == etag, "an ETag is stable while the item is unchanged", answer)


def test_several_if_none_match_lines_are_one_list(service: Service, item: Item, etag: str) -> None:
    lines = [("If-None-Match", '"x"'), ("If-None-Match", etag)]
    answer = service.send("GET", f"{ITEMS}/{item['id']}", headers=lines)
    # If a header that may occur once is sent twice, Nginx suspects request smuggling and refuses the request.
    wanted = 400 if service.answers["deployment"] == "nginx" else 304
    must_answer(answer, wanted, "several If-None-Match lines are one list, or refused by Nginx")


def test_a_changed_item_has_another_etag(service: Service, item: Item, etag: str) -> None:
    service.patch(item["id"], price_cents=item["price_cents"] + 1).raise_for_status()
    told = "a changed item has another ETag"
    service.within_bound(lambda: service.get(item["id"]).headers["ETag"] != etag, told)
    told = "the ETag of the old item no longer matches"
    condition = {"If-None-Match": etag}
    service.within_bound(lambda: service.get(item["id"], **condition).status_code == 200, told)


def test_different_items_have_different_etags(service: Service) -> None:
    etags = {service.get(service.create()["id"]).headers["ETag"] for _ in range(5)}
    assert len(etags) == 5, f"different items have different ETags: {etags}"


def test_a_cached_read_is_marked_and_has_the_same_body(service: Service, item: Item) -> None:
    first = service.get(item["id"])
    # Each worker may have to read it once.
    answers = [service.get(item["id"]) for _ in range(4 * service.workers)]
    caches = [answer.headers.get("X-Cache") for answer in [first, *answers]]
    if service.cache == "none":
        assert set(caches) == {None}, "without a cache, X-Cache is not sent"
    else:
        assert "hit" in caches[1:], f"a read from the cache is a hit: {caches}"
        assert None not in caches, f"every read is marked as hit or miss: {caches}"
    same = {(answer.content, answer.headers["ETag"]) for answer in [first, *answers]}
    assert len(same) == 1, f"a cached read is the same, byte for byte: {same}"


def _has_price(service: Service, item: Item, price: int) -> bool:
    return bool(service.get(item["id"]).json()["price_cents"] == price)


def test_a_read_after_a_change_is_not_a_stale_hit(service: Service, item: Item) -> None:
    for price in range(5):
        service.get(item["id"])
        service.patch(item["id"], price_cents=price).raise_for_status()
        told = "a read after a change shows it"
        service.within_bound(partial(_has_price, service, item, price), told)


# --- Cache-Control ------------------------------------------------------------------------------

MAY_BE_ASKED_FOR = {"no-cache"}
MUST_NOT_BE_KEPT = {"no-store"}
CACHING = {
    ITEMS: MAY_BE_ASKED_FOR,
    f"{ITEMS}?limit=100": MAY_BE_ASKED_FOR,
    "/openapi.json": MAY_BE_ASKED_FOR,
    "/docs": MAY_BE_ASKED_FOR,
    "/docs/swagger-ui.css": MAY_BE_ASKED_FOR,
    f"{ITEMS}/export": MUST_NOT_BE_KEPT,
    f"{ITEMS}/summary": MUST_NOT_BE_KEPT,
    f"{ITEMS}/not-an-id": MUST_NOT_BE_KEPT,
    f"{ITEMS}?limit=0": MUST_NOT_BE_KEPT,
    "/health/live": MUST_NOT_BE_KEPT,
    "/health/ready": MUST_NOT_BE_KEPT,
    "/metrics": MUST_NOT_BE_KEPT,
    "/nope": MUST_NOT_BE_KEPT,
    f"{ITEMS}/": MUST_NOT_BE_KEPT,
}


def _caching(answer: httpx2.Response, service: Service) -> set[str]:
    words = {word.strip() for word in answer.headers.get("Cache-Control", "").split(",")}
    depends_on_caller = bool(service.token) and answer.request.url.path.startswith(ITEMS)
    if depends_on_caller and "no-store" not in words:
        must("private" in words, "what depends on the caller is private", answer)
        words -= {"private"}
    return words


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
@pytest.mark.parametrize("path", CACHING)
def test_every_read_has_cache_control(path: str, encoding: str, service: Service) -> None:
    answer = service.send("GET", path, headers={"Accept-Encoding": encoding})
    must(_caching(answer, service) == CACHING[path], f"Cache-Control is {CACHING[path]}", answer)
    if CACHING[path] == MAY_BE_ASKED_FOR:
        must("ETag" in answer.headers, "a response that may be revalidated has an ETag", answer)


@pytest.mark.parametrize(
    ("method", "path"), [("POST", ITEMS), ("PUT", ITEMS), ("DELETE", f"{ITEMS}/x"), ("PROPFIND", "/")]
)
def test_every_refusal_is_no_store(method: str, path: str, service: Service) -> None:
    answer = service.send(method, path)
    must(_caching(answer, service) == MUST_NOT_BE_KEPT, "no cache may keep a refusal", answer)


def test_every_response_to_a_write_has_cache_control(service: Service, item: Item) -> None:
    path = f"{ITEMS}/{item['id']}"
    answers = [service.post(), service.patch(item["id"], price_cents=1), service.batch([service.draft()])]
    answers += [service.patch(item["id"], name=""), service.delete(item["id"]), service.send("GET", path)]
    for answer in answers:
        must("Cache-Control" in answer.headers, "every response has Cache-Control", answer)


@pytest.mark.parametrize("encoding", ["identity", "gzip", "br", "zstd"])
@pytest.mark.parametrize("path", [path for path, caching in CACHING.items() if caching == MAY_BE_ASKED_FOR])
def test_a_body_that_the_client_has_is_not_sent_again(path: str, encoding: str, service: Service) -> None:
    if path.startswith(ITEMS):
        tag = service.tag()
        service.batch([service.draft(tags=[tag]) for _ in range(30)]).raise_for_status()
        path = f"{ITEMS}?limit=30&tags={tag}"
    first = must_answer(
        service.send("GET", path, headers={"Accept-Encoding": encoding}), 200, "the body has an ETag"
    )
    condition = {"Accept-Encoding": encoding, "If-None-Match": first.headers["ETag"]}
    again = must_answer(service.send("GET", path, headers=condition), 304, "the ETag still matches")
    must(again.content == b"", "304 has no body", again)
    must(_caching(again, service) == _caching(first, service), "304 repeats Cache-Control", again)
    if "Vary" in first.headers:
        must("accept-encoding" in again.headers.get("Vary", "").lower(), "304 repeats Vary", again)
    other = service.send("GET", path, headers={"If-None-Match": '"other"'})
    must_answer(other, 200, "another ETag does not match")


def test_a_page_that_changed_is_sent(service: Service) -> None:
    tag = service.tag()
    path = f"{ITEMS}?tags={tag}"
    empty = service.send("GET", path).headers["ETag"]
    item = service.create(tags=[tag])
    created = service.send("GET", path, headers={"If-None-Match": empty})
    must_answer(created, 200, "a page with one more item has another ETag")
    service.patch(item["id"], price_cents=item["price_cents"] + 1).raise_for_status()
    changed = service.send("GET", path, headers={"If-None-Match": created.headers["ETag"]})
    must_answer(changed, 200, "a page with a changed item has another ETag")
    service.delete(item["id"]).raise_for_status()
    must(service.send("GET", path).headers["ETag"] == empty, "equal pages have equal ETags", changed)


@pytest.mark.parametrize("path", [f"{ITEMS}?limit=1", "/openapi.json", "/docs", "/docs/swagger-ui.css"])
def test_all_workers_give_the_same_etag(path: str, service: Service) -> None:
    service.create()
    etags = {service.on_new_connection(path).headers["ETag"] for _ in range(8 * service.workers)}
    assert len(etags) == 1, f"all workers give {path} the same ETag: {etags}"


# --- Problems and methods -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/nope",
        "/api",
        "/api/v1",
        "/api/v1/nope",
        f"{ITEMS}/a/b",
        "/%F0%9F%8D%95",
        "//",
        "/" + "x" * 3000,
    ],
)
def test_an_unknown_route_returns_404(path: str, service: Service) -> None:
    answer = must_answer(service.send("GET", service.base_url + path), 404, "an unknown route is not found")
    must(answer.json()["title"] != "", "an unknown route returns a problem", answer)


def test_a_route_of_odd_bytes_is_refused(service: Service) -> None:
    must_answer(service.send("GET", f"{service.base_url}/%00"), {400, 404}, "a route of odd bytes is refused")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", ITEMS, {"GET", "HEAD", "POST"}),
        ("DELETE", ITEMS, {"GET", "HEAD", "POST"}),
        ("PUT", f"{ITEMS}/00000000-0000-7000-8000-000000000000", {"GET", "HEAD", "PATCH", "DELETE"}),
        ("POST", f"{ITEMS}/00000000-0000-7000-8000-000000000000", {"GET", "HEAD", "PATCH", "DELETE"}),
        ("POST", "/health/live", {"GET", "HEAD"}),
        ("DELETE", "/metrics", {"GET", "HEAD"}),
        ("PROPFIND", ITEMS, {"GET", "HEAD", "POST"}),
        ("TRACE", ITEMS, {"GET", "HEAD", "POST"}),
    ],
)
def test_a_method_that_a_route_does_not_allow_returns_405(
    method: str, path: str, allowed: set[str], service: Service
) -> None:
    answer = must_answer(service.send(method, path), 405, f"{method} is not allowed")
    told = {word.strip() for word in answer.headers.get("Allow", "").split(",")}
    must(allowed <= told and method not in told, f"405 lists the allowed methods: {sorted(allowed)}", answer)


@pytest.mark.parametrize("path", ["/{id}", "", "/export", "/summary"])
@pytest.mark.parametrize("accepted", ["identity", "gzip"])
def test_head_responds_like_get_without_a_body(
    path: str, accepted: str, service: Service, item: Item
) -> None:
    url = ITEMS + path.format(id=item["id"])
    get, head = (
        must_answer(service.send(method, url, headers={"Accept-Encoding": accepted}), 200, "HEAD is like GET")
        for method in ("GET", "HEAD")
    )
    must(head.content == b"", "HEAD has no body", head)
    for name in ("Content-Type", "Content-Encoding", "Content-Length", "ETag", "Cache-Control", "Vary"):
        must(head.headers.get(name) == get.headers.get(name), f"HEAD has the {name} of GET", head)


def test_a_connection_is_kept_after_the_head_of_a_stream(service: Service) -> None:
    for _ in range(3):
        must_answer(service.send("HEAD", f"{ITEMS}/export"), 200, "HEAD of a stream ends at once")
        must_answer(service.send("GET", "/health/live"), 200, "the next request gets its own response")


def test_a_redirect_does_not_repeat_the_host_of_the_request(service: Service) -> None:
    headers = {"Host": "evil.example"}
    answer = service.send("GET", f"{service.base_url}{ITEMS}/", headers=headers, follow_redirects=False)
    must("evil.example" not in answer.headers.get("Location", ""), "no other host is named", answer)


# --- Request ids --------------------------------------------------------------------------------


@pytest.mark.parametrize("identity", ["a", "0", "A-z_0.9", "x" * 128, "....", "018f-e2b4"])
@pytest.mark.parametrize("path", ["/health/live", f"{ITEMS}/nope", "/nope"])
def test_a_valid_request_id_is_kept(identity: str, path: str, service: Service) -> None:
    answer = service.send("GET", path, headers={"X-Request-ID": identity})
    must(answer.headers["X-Request-ID"] == identity, "a valid X-Request-ID is kept", answer)


IMPROPER = [
    b"",
    b"x" * 129,
    b"x" * 5000,
    b"a b",
    b"a,b",
    b"a;b",
    b"a/b",
    b'"a"',
    b"<script>",
    b"a%0d%0aX-Evil:1",
    b"\xc3\xa9",
    b"\xff",
    b"a\tb",
    b"{}",
    b"a:b",
]


@pytest.mark.parametrize("identity", IMPROPER, ids=lambda value: repr(value[:12]))
def test_an_invalid_request_id_is_replaced(identity: bytes, service: Service) -> None:
    answer = service.send("GET", "/nope", headers=[(b"X-Request-ID", identity)])
    must(answer.headers["X-Request-ID"].encode() != identity, "an invalid X-Request-ID is replaced", answer)
    must("X-Evil" not in answer.headers, "a request id cannot add a header", answer)


def test_each_request_gets_a_different_id(service: Service) -> None:
    identities = {service.send("GET", "/health/live").headers["X-Request-ID"] for _ in range(10)}
    assert len(identities) == 10, f"each request gets a different id: {identities}"


def test_two_request_ids_do_no_harm(service: Service) -> None:
    answer = service.send("GET", "/health/live", headers=[("X-Request-ID", "one"), ("X-Request-ID", "two")])
    must(len(answer.headers.get_list("X-Request-ID")) == 1, "a response has one X-Request-ID", answer)


@pytest.mark.parametrize(
    "value",
    [b"a\r\n X-Evil: 1", b"a\rX-Evil: 1", b"a\nX-Evil: 1", b"a\x00b", b"a\x0bX-Evil: 1", b"a\x85X-Evil: 1"],
)
def test_a_request_id_cannot_add_a_header(value: bytes, service: Service) -> None:
    where = urlsplit(service.base_url)
    request = b"GET /nope HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Request-ID: " + value + b"\r\n\r\n"
    with socket.create_connection((str(where.hostname), where.port or 80), timeout=5) as connection:
        connection.sendall(request)
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    status, headers = answer.split(b"\r\n", 1)[0], answer.split(b"\r\n\r\n")[0].lower()
    assert re.match(rb"HTTP/1.1 4\d\d ", status), (
        f"a request with a broken header gets a 4xx: {answer[:200]!r}"
    )
    # A server may accept a bare line feed as the end of a line; then X-Evil was a header of the request.
    assert not re.search(rb"[\r\n]\s*x-evil", headers), f"a request id cannot add a header: {answer[:300]!r}"
