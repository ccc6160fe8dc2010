"""Values that an item may have, and values that are refused."""

import json
import secrets

import pytest

from tests.acceptance.service import ITEMS, MAX_PRICE, Item, Json, Service, body_of, must, must_answer

TEXTS = {
    "astral characters": "🍕𝔘𠮷",
    "line and paragraph separators": "a\u2028b\u2029c",
    "control characters": "\x01\x1b\x7f\x85",
    "line breaks and tabs": "a\nb\r\nc\td",
    "spaces around": "  a  ",
    "decomposed accents": "e\u0301",
    "composed accents": "\u00e9",
    "right to left and joiners": "\u202eabc\u200d\u200f",
    "a byte order mark": "\ufeffa",
    "noncharacters": "\uffff\ufffe\U0010ffff",
    "quotes and backslashes": "'\"\\`\\u0041%s{}$",
    "SQL": "'); DROP TABLE items; --",
    "MongoDB operators": "$where.a.$gt",
    "HTML": "</script><img src=x onerror=alert(1)>&amp;",
    "a number": "123",
    "a JSON literal": "null",
}

WRONG_FIELDS: dict[str, dict[str, Json]] = {
    "name: number": {"name": 1},
    "name: boolean": {"name": True},
    "name: list": {"name": ["x"]},
    "name: object": {"name": {}},
    "name: empty": {"name": ""},
    "name: 201 characters": {"name": "x" * 201},
    "name: 201 astral characters": {"name": "🍕" * 201},
    "description: number": {"description": 5},
    "description: boolean": {"description": False},
    "description: list": {"description": []},
    "description: 2001 characters": {"description": "x" * 2001},
    "price_cents: text": {"price_cents": "1"},
    "price_cents: true": {"price_cents": True},
    "price_cents: false": {"price_cents": False},
    "price_cents: fraction": {"price_cents": 1.5},
    "price_cents: list": {"price_cents": [1]},
    "price_cents: negative": {"price_cents": -1},
    "price_cents: 2**53": {"price_cents": MAX_PRICE + 1},
    "price_cents: 2**63": {"price_cents": 2**63},
    "price_cents: 2**64": {"price_cents": 2**64},
    "price_cents: 400 digits": {"price_cents": 10**400},
    "price_cents: -2**63 - 1": {"price_cents": -(2**63) - 1},
    "price_cents: NaN": {"price_cents": float("nan")},
    "price_cents: Infinity": {"price_cents": float("inf")},
    "price_cents: -Infinity": {"price_cents": float("-inf")},
    "tags: text": {"tags": "a"},
    "tags: object": {"tags": {"a": "b"}},
    "tags: of numbers": {"tags": [1]},
    "tags: of null": {"tags": [None]},
    "tags: of lists": {"tags": [["a"]]},
    "tags: empty tag": {"tags": [""]},
    "tags: tag of 51 characters": {"tags": ["x" * 51]},
    "tags: 21": {"tags": [f"tag {number}" for number in range(21)]},
    "unknown field": {"colour": "red"},
    "unknown field of odd characters": {"\u0000\ud800": 1},
    "field in another case": {"Name": "x"},
    "name: NUL": {"name": "a\u0000b"},
    "description: NUL": {"description": "\u0000"},
    "tags: NUL": {"tags": ["a\u0000"]},
    "name: high surrogate": {"name": "a\ud800"},
    "name: low surrogate": {"name": "\udc00a"},
    "name: surrogates in the wrong order": {"name": "\ude00\ud83d"},
    "description: surrogate": {"description": "\udfff"},
    "tags: surrogate": {"tags": ["\ud83d"]},
}

MALFORMED = {
    "nothing": b"",
    "spaces": b"   ",
    "an open object": b"{",
    "an open text": b'{"name": "x',
    "half a literal": b"nul",
    "a trailing comma": b'{"name": "x",}',
    "more after the end": b'{"name": "x"} x',
    "single quotes": b"{'name': 'x'}",
    "bytes that are not UTF-8": b'{"name": "\xff\xfe"}',
    "a surrogate in UTF-8": b'{"name": "\xed\xa0\x80"}',
    "an overlong NUL": b'{"name": "\xc0\x80"}',
    "a raw NUL": b'{"name": "\x00"}',
    "a raw line break in a text": b'{"name": "a\nb"}',
    "a leading zero": b'{"price_cents": 01}',
    "an exponent beyond all floats": b'{"name": "x", "price_cents": 1e999, "tags": []}',
    "very deep lists": b"[" * 100_000,
    "very deep objects": b'{"a":' * 50_000,
    "a complete deep document": b'{"name":' + b"[" * 20_000 + b"]" * 20_000 + b"}",
}

NO_OBJECTS = [None, [], "x", 5, True, [{"name": "x"}]]


@pytest.mark.parametrize("kind", TEXTS)
def test_text_comes_back_exactly_as_it_was_sent(kind: str, service: Service) -> None:
    name = f"{TEXTS[kind]}{service.name()}{TEXTS[kind]}"
    sent = {"name": name, "description": TEXTS[kind], "tags": [TEXTS[kind]]}
    created = service.create(**sent)
    assert sent.items() <= created.items(), f"text with {kind} is kept: {created}"
    read = body_of(service.get(created["id"]), 200, "an item can be read")
    assert read == created, f"text with {kind} is read as it was written"
    listed = service.page(tag=TEXTS[kind], limit=1)["items"]
    assert listed == [created], f"an item is listed under a tag with {kind}"


def test_text_means_the_same_escaped_and_raw(service: Service) -> None:
    escaped = service.draft(description="🍕\u2028é")
    raw = escaped | {"name": service.name()}
    first = body_of(service.send_json("POST", ITEMS, escaped), 201, "escaped text is accepted")
    encoded = json.dumps(raw, ensure_ascii=False).encode()
    second = body_of(service.send_bytes("POST", ITEMS, encoded), 201, "raw UTF-8 is accepted")
    assert first["description"] == second["description"] == "🍕\u2028é"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("description", ""),
        ("description", "x" * 2000),
        ("description", "🍕" * 2000),
        ("price_cents", 0),
        ("price_cents", MAX_PRICE),
        ("tags", []),
        ("tags", ["x"]),
        ("tags", ["🍕" * 50]),
        ("tags", [f"{number:02}".ljust(50, "🍕") for number in range(20)]),
    ],
)
def test_values_just_within_the_limits_are_accepted(key: str, value: Json, service: Service) -> None:
    created = service.create(**{key: value})
    assert created[key] == value, f"{key} at its limit is kept: {created}"


@pytest.mark.parametrize("padding", ["x", "é", "🍕"])
def test_a_name_of_200_characters_is_accepted(padding: str, service: Service) -> None:
    name = service.name().ljust(200, padding)
    assert service.create(name=name)["name"] == name, "a name of 200 characters is kept, whatever they are"


def test_a_name_of_one_character_is_accepted(service: Service) -> None:
    # One of 42,000 characters, so that it is unlikely to be taken in a database with other items.
    name = chr(0x20000 + secrets.randbelow(42_000))
    created = service.create(name=name)
    assert created["name"] == name, "a name of one character is kept"
    service.delete(created["id"])


@pytest.mark.parametrize("wrong", WRONG_FIELDS)
def test_a_new_item_that_breaks_the_rules_returns_422(wrong: str, service: Service) -> None:
    must_answer(service.post(**WRONG_FIELDS[wrong]), 422, f"{wrong} is refused")


@pytest.mark.parametrize("wrong", WRONG_FIELDS)
def test_a_change_that_breaks_the_rules_returns_422(wrong: str, service: Service, item: Item) -> None:
    must_answer(service.patch(item["id"], **WRONG_FIELDS[wrong]), 422, f"{wrong} is refused in a change")
    assert service.get(item["id"]).json() == item, "a refused change leaves the item as it was"


@pytest.mark.parametrize("wrong", WRONG_FIELDS)
def test_a_batch_with_an_item_that_breaks_the_rules_returns_422(wrong: str, service: Service) -> None:
    drafts = [service.draft(), service.draft(**WRONG_FIELDS[wrong])]
    must_answer(service.batch(drafts), 422, f"{wrong} is refused in a batch")


def test_an_item_without_a_name_returns_422(service: Service) -> None:
    draft = service.draft()
    del draft["name"]
    must_answer(service.send_json("POST", ITEMS, draft), 422, "an item needs a name")


@pytest.mark.parametrize("path", [ITEMS, f"{ITEMS}/batch"])
@pytest.mark.parametrize("kind", MALFORMED)
def test_malformed_json_is_refused(kind: str, path: str, service: Service) -> None:
    must_answer(service.send_bytes("POST", path, MALFORMED[kind]), {400, 422}, f"{kind} is not JSON")


@pytest.mark.parametrize("kind", MALFORMED)
def test_a_malformed_change_is_refused(kind: str, service: Service, item: Item) -> None:
    path = f"{ITEMS}/{item['id']}"
    must_answer(service.send_bytes("PATCH", path, MALFORMED[kind]), {400, 422}, f"{kind} is not JSON")


@pytest.mark.parametrize("document", NO_OBJECTS, ids=json.dumps)
def test_json_that_is_not_an_object_returns_422(document: Json, service: Service, item: Item) -> None:
    must_answer(service.send_json("POST", ITEMS, document), 422, "an item is an object")
    must_answer(service.send_json("PATCH", f"{ITEMS}/{item['id']}", document), 422, "a change is an object")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32-le"])
def test_json_in_another_encoding_is_refused_or_understood(encoding: str, service: Service) -> None:
    draft = service.draft(description="🍕é")
    answer = service.send_bytes("POST", ITEMS, json.dumps(draft, ensure_ascii=False).encode(encoding))
    must_answer(answer, {201, 400, 415, 422}, "JSON in another encoding does no harm")
    if answer.status_code == 201:
        must(draft.items() <= answer.json().items(), "text keeps its meaning in any encoding", answer)


def test_a_field_given_twice_does_no_harm(service: Service) -> None:
    body = json.dumps(service.draft()).encode()[:-1] + b', "price_cents": 2}'
    must_answer(service.send_bytes("POST", ITEMS, body), {201, 400, 422}, "a field given twice does no harm")


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "application/xml", "json"]
)
def test_another_content_type_is_refused(content_type: str, service: Service, item: Item) -> None:
    body = json.dumps(service.draft()).encode()
    refused = {400, 415, 422}
    must_answer(service.send_bytes("POST", ITEMS, body, content_type), refused, f"{content_type} is not JSON")
    changed = service.send_bytes("PATCH", f"{ITEMS}/{item['id']}", b'{"price_cents": 1}', content_type)
    must_answer(changed, refused, f"{content_type} is not JSON")
    assert service.get(item["id"]).json() == item, "a refused change leaves the item as it was"


def test_a_body_without_content_type_is_refused(service: Service) -> None:
    body = json.dumps(service.draft()).encode()
    must_answer(service.send("POST", ITEMS, content=body), {400, 415, 422}, "a body needs a content type")


def test_a_content_type_may_name_its_charset(service: Service) -> None:
    body = json.dumps(service.draft()).encode()
    answer = service.send_bytes("POST", ITEMS, body, "Application/JSON; charset=utf-8")
    must_answer(answer, 201, "a content type may have parameters and upper case")


def test_a_compressed_request_body_is_refused_or_understood(service: Service) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    answer = service.send("POST", ITEMS, content=b"\x1f\x8b\x08\x00junk", headers=headers)
    must_answer(answer, {400, 415, 422}, "a compressed body that cannot be read is refused")


def _padded(service: Service, size: int) -> bytes:
    return json.dumps(service.draft()).encode().ljust(size)


def test_a_body_exactly_at_the_limit_is_accepted(service: Service) -> None:
    body = _padded(service, service.max_body_bytes)
    must_answer(service.send_bytes("POST", ITEMS, body), 201, "a body at the limit is accepted")


@pytest.mark.parametrize("path", [ITEMS, f"{ITEMS}/batch"])
def test_a_body_over_the_limit_returns_413(path: str, service: Service) -> None:
    body = _padded(service, service.max_body_bytes + 1)
    must_answer(service.send_bytes("POST", path, body), 413, "a body over the limit is refused")


def test_a_body_of_unknown_length_over_the_limit_returns_413(service: Service) -> None:
    body = _padded(service, service.max_body_bytes + 1)
    parts = (body[start : start + 65_536] for start in range(0, len(body), 65_536))
    answer = service.send("POST", ITEMS, content=parts, headers={"Content-Type": "application/json"})
    must_answer(answer, 413, "a body over the limit is refused, with or without a length")


def test_a_change_over_the_limit_returns_413(service: Service, item: Item) -> None:
    body = _padded(service, service.max_body_bytes + 1)
    must_answer(
        service.send_bytes("PATCH", f"{ITEMS}/{item['id']}", body), 413, "a body over the limit is refused"
    )
