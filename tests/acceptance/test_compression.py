"""Responses are compressed for clients that accept it, if the project's answers say so."""

import pytest

from tests.acceptance.service import ITEMS, Service, must, must_answer

LARGE = "Compression pays off for text that repeats itself. " * 30

ASKS_FOR_NOTHING = [
    "",
    "identity",
    "deflate",
    "gzip;q=0",
    "*;q=0",
    "gzip;q=0, br;q=0, zstd;q=0",
    "gzip;q=0.000",
    "gzip; q=0, *;q=0",
]
LIKED_BETTER = [
    ("zstd;q=0.2, br;q=0.3, gzip;q=0.9", "gzip"),
    ("gzip;q=0.2, br;q=1, zstd;q=0.999", "br"),
    ("*;q=0.1, gzip;q=0.05, br;q=0.05", "zstd"),
]
MUST_NOT_GET = [("gzip;q=0, *", "gzip"), ("br;q=0, gzip, zstd", "br"), ("zstd;q=0, gzip, br", "zstd")]
ODD = [
    ",,,",
    ";;;",
    "gzip;q=abc",
    "gzip;q=",
    "gzip;q=-1",
    "gzip;q=5",
    "q=1",
    "\xff",
    "gzip;" * 500,
    "*;q=0.5, identity",
    "identity;q=1, gzip;q=0.5",
]


@pytest.fixture(scope="module")
def page(service: Service) -> str:
    """The path of a large response that does not change."""
    tag = service.tag()
    service.batch([service.draft(tags=[tag], description=LARGE) for _ in range(30)]).raise_for_status()
    return f"{ITEMS}?limit=30&tags={tag}"


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd"])
@pytest.mark.parametrize(
    "accept", ["{0}", "{0};q=1.0", "identity;q=0.5, {0};q=0.8", "x-unknown, {0}", "{0} ; q=0.3"]
)
def test_a_large_response_is_compressed_for_a_client_that_accepts_it(
    encoding: str, accept: str, page: str, service: Service
) -> None:
    answer = service.send("GET", page, headers={"Accept-Encoding": accept.format(encoding)})
    used = answer.headers.get("Content-Encoding")
    if encoding in service.encodings:
        must(used == encoding, f"a client that accepts {encoding} gets {encoding}", answer)
    if used is not None:
        must(
            used == encoding and used in service.possible_encodings,
            "a client gets no coding that it does not accept",
            answer,
        )
        must(
            "accept-encoding" in answer.headers.get("Vary", "").lower(),
            "a response that depends on Accept-Encoding has it in Vary",
            answer,
        )
    must(answer.json() == service.send("GET", page).json(), "compression does not change the content", answer)


def test_a_client_that_accepts_several_codings_gets_one_of_them(page: str, service: Service) -> None:
    answer = service.send("GET", page, headers={"Accept-Encoding": "gzip, deflate, br, zstd"})
    used = answer.headers.get("Content-Encoding")
    wanted: set[str | None] = {*service.possible_encodings} or {None}
    must(used in wanted, f"a browser gets one of {wanted}", answer)


@pytest.mark.parametrize("accept", ASKS_FOR_NOTHING)
def test_a_response_is_not_compressed_for_a_client_that_does_not_accept_it(
    accept: str, page: str, service: Service
) -> None:
    answer = must_answer(
        service.send("GET", page, headers={"Accept-Encoding": accept}), 200, "a page can be read"
    )
    must(
        "Content-Encoding" not in answer.headers,
        f"Accept-Encoding: {accept!r} accepts no compression",
        answer,
    )


def test_a_response_is_not_compressed_without_accept_encoding(page: str, service: Service) -> None:
    request = service.client.build_request("GET", page)
    del request.headers["Accept-Encoding"]
    answer = must_answer(service.client.send(request), 200, "a page can be read")
    must("Content-Encoding" not in answer.headers, "without Accept-Encoding nothing is compressed", answer)


@pytest.mark.parametrize(("accept", "refused"), MUST_NOT_GET)
def test_a_coding_with_a_weight_of_zero_is_never_used(
    accept: str, refused: str, page: str, service: Service
) -> None:
    answer = must_answer(
        service.send("GET", page, headers={"Accept-Encoding": accept}), 200, "a page can be read"
    )
    used = answer.headers.get("Content-Encoding")
    must(used != refused, f"{refused};q=0 refuses {refused}", answer)
    must(
        used is None or used in service.possible_encodings,
        "a client gets no coding that was not chosen",
        answer,
    )


@pytest.mark.parametrize(("accept", "liked"), LIKED_BETTER)
def test_the_coding_that_a_client_prefers_is_used(
    accept: str, liked: str, page: str, service: Service
) -> None:
    answer = service.send("GET", page, headers={"Accept-Encoding": accept})
    must_answer(answer, 200, "a page can be read")
    has_choice = service.encodings == {"gzip", "br", "zstd"}
    wanted = {liked} if has_choice else {*service.possible_encodings, None}
    used = answer.headers.get("Content-Encoding")
    must(used in wanted, f"a client that prefers {liked} gets one of {wanted}", answer)


@pytest.mark.parametrize("accept", ODD)
def test_an_odd_accept_encoding_does_no_harm(accept: str, page: str, service: Service) -> None:
    answer = service.send("GET", page, headers=[(b"Accept-Encoding", accept.encode("latin-1"))])
    must_answer(answer, 200, "an odd Accept-Encoding gets a response")
    used = answer.headers.get("Content-Encoding")
    must(
        used is None or used in service.possible_encodings,
        "a client gets no coding that was not chosen",
        answer,
    )
    must(len(answer.json()["items"]) == 30, "an odd Accept-Encoding does not change the content", answer)


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd"])
def test_a_small_response_is_not_compressed(encoding: str, service: Service) -> None:
    item = service.create(description=None)
    for path in ("/health/live", f"{ITEMS}/{item['id']}"):
        answer = service.send("GET", path, headers={"Accept-Encoding": encoding})
        must("Content-Encoding" not in answer.headers, "a small response is not compressed", answer)


@pytest.mark.parametrize("encoding", ["identity", "gzip", "br", "zstd"])
def test_a_compressed_read_still_returns_304(encoding: str, service: Service) -> None:
    item = service.create(description="x" * 2000)
    first = service.get(item["id"], **{"Accept-Encoding": encoding})
    must(first.json() == item, "compression does not change the item", first)
    condition = {"Accept-Encoding": encoding, "If-None-Match": first.headers["ETag"]}
    second = must_answer(service.get(item["id"], **condition), 304, "the ETag of a compressed read matches")
    must(
        "Content-Encoding" not in second.headers or second.content == b"",
        "304 has no body to compress",
        second,
    )


def test_a_response_without_a_body_is_not_compressed(service: Service) -> None:
    item = service.create()
    answer = service.send("DELETE", f"{ITEMS}/{item['id']}", headers={"Accept-Encoding": "gzip, br, zstd"})
    must_answer(answer, 204, "an item can be deleted")
    must("Content-Encoding" not in answer.headers, "204 is not compressed", answer)
