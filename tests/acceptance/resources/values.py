"""Values for each type of field: valid ones, those at its limits, and those that no service may accept."""

from __future__ import annotations

import json
import math
import secrets
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

from tests.acceptance.resources.grammar import MAX_EXACT, Field

Json = Any
MakeValue = Callable[[], Json]
# Values of unique fields differ, also from those of an earlier run against the same database.
COUNTER = count(secrets.randbelow(2**30))
# A text of one character may have one of these.
FIRST_HAN, HAN = 0x20000, 42_000
SHORT = 8
DAYS = 3_000_000
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
INVALID_TEXTS = {"a NUL": "a\u0000b", "a high surrogate": "a\ud800", "a low surrogate": "\udc00a"}
TYPES: dict[str, Json] = {"a number": 7, "true": True, "a text": "x", "a list": ["x"], "an object": {"a": 1}}
# What of these each type may be; the types that are not here have a text that must be well formed.
RIGHT_TYPES: dict[str, set[str]] = {
    "str": {"a text"},
    "enum": set(),
    "int": {"a number"},
    "float": {"a number"},
    "bool": {"true"},
    "json": set(TYPES),
}
WRONG_WORDS = {
    "date": ["2026-02-30", "20260131", "2026-1-31", "2026-01-31T00:00:00Z", "31.01.2026", "10000-01-01"],
    "datetime": ["2026-01-31T12:00:00", "2026-01-31", "2026-01-31T25:00:00Z", "2026-02-30T12:00:00Z", "now"],
    "uuid": ["x", "0" * 32, "{00000000-0000-4000-8000-000000000000}", "00000000-0000-4000-8000-00000000000g"],
    "decimal": ["", "x", "1e1", "NaN", "Infinity", "+1", " 1", "1_0", "0x1", ".5", "1."],
}
WRONG_WORDS["ref"] = WRONG_WORDS["uuid"]


# --- Valid values ---------------------------------------------------------------------------------------


def valid(field: Field) -> Json:
    """Return a valid value, another each time if the type has that many; not for references."""
    number = next(COUNTER)
    if field.is_list:
        return [_valid(field.element, number + each) for each in range(min(2, field.length))]
    return _valid(field, number)


def others(field: Field, value: Json) -> Iterator[Json]:
    """Yield one valid value that differs from this one; nothing if there is none."""
    tried = (valid(field) for _ in range(4))
    yield from [each for each in tried if each != value][:1]


def _valid(field: Field, number: int) -> Json:
    match field.kind:
        case "int" | "float" | "decimal":
            return _valid_number(field, number)
        case "bool":
            return number % 2 == 0
        case "json":
            document = {"number": number, "list": [None, True, 0.5, "é"]}
            return document if field.bytes >= len(json.dumps(document)) else number % 10
    return _valid_text(field, number)


def _valid_text(field: Field, number: int) -> str:
    match field.kind:
        case "str":
            return text_of(field, number)
        case "date":
            return str(date.min + timedelta(days=number % DAYS))
        case "datetime":
            return _rfc_3339(NOON + timedelta(milliseconds=number))
        case "enum":
            return field.words[number % len(field.words)]
    return str(uuid.uuid4())


def _valid_number(field: Field, number: int) -> Json:
    if field.kind == "int":
        return int(_number(field, number, Decimal(1)))
    if field.kind == "float":
        return float(_number(field, number, Decimal("0.125")))
    return written(_number(field, number, Decimal(1).scaleb(-field.places)), field.places)


def text_of(field: Field, number: int, length: int = 0) -> str:
    """Return a text that only this number has, as long as asked, or a little longer than it must be."""
    least, most = field.lengths
    wanted = length or min(most, max(least, 2 * SHORT))
    token = f"{number % 2**32:08x}" if wanted >= SHORT else chr(FIRST_HAN + number % HAN)
    return token.ljust(wanted, "🍕")


def written(number: Decimal, places: int) -> str:
    """Return a decimal as the service writes it: with all its places."""
    return f"{number:.{places}f}"


def _number(field: Field, number: int, step: Decimal) -> Decimal:
    """Return a number of whole steps within the field's bounds, small if that is possible."""
    least, most = field.bounds
    first = Decimal(0) if (least is None or least <= 0) and (most is None or most >= 0) else least or most
    assert first is not None
    if most is None or first < most:
        room = 1_000_000 if most is None else min(int((most - first) / step), 1_000_000)
        return first + step * (number % (room + 1))
    return first


def _rfc_3339(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


# --- Values at the limits -------------------------------------------------------------------------------


def _constant(value: Json) -> MakeValue:
    return lambda: value


def _in_list(make: MakeValue) -> MakeValue:
    return lambda: [make()]


def _text_maker(field: Field, length: int) -> MakeValue:
    return lambda: text_of(field, next(COUNTER), length)


def at_limits(field: Field) -> dict[str, MakeValue]:
    """Return what makes each value that is just acceptable, by what it is."""
    if field.is_list:
        full = {"as many elements as allowed": lambda: [valid(field.element) for _ in range(field.length)]}
        return {"no element": list, **full, **_elements_at_limits(field)}
    return _at_limits(field)


def _elements_at_limits(field: Field) -> dict[str, MakeValue]:
    return {f"an element of {words}": _in_list(make) for words, make in _at_limits(field.element).items()}


def _at_limits(field: Field) -> dict[str, MakeValue]:
    match field.kind:
        case "str":
            return _texts_at_limits(field)
        case "int" | "float" | "decimal":
            return {f"the number {value}": _constant(value) for value in _numbers_at_limits(field)}
        case "enum":
            return {f"the word {word}": _constant(word) for word in field.words}
        case "json":
            return {f"the value {str(value)[:20]}": _constant(value) for value in _any_json(field)}
    texts: dict[str, list[Json]] = {
        "bool": [True, False],
        "date": ["0001-01-01", "9999-12-31", "2024-02-29"],
        "datetime": _moments(),
        "uuid": ["00000000-0000-0000-0000-000000000000", "FFFFFFFF-ffff-ffff-ffff-ffffffffffff"],
    }
    return {str(value): _constant(value) for value in texts.get(field.kind, [])}


def _texts_at_limits(field: Field) -> dict[str, MakeValue]:
    least, most = field.lengths
    made: dict[str, MakeValue] = {
        f"{length} characters": _text_maker(field, length) for length in {max(least, 1), most}
    }
    return made if least else made | {"no character": str}


def _numbers_at_limits(field: Field) -> list[Json]:
    least, most = field.bounds
    if field.kind == "decimal":
        assert least is not None
        assert most is not None
        return [written(least, field.places), written(most, field.places)]
    if field.kind == "int":
        return [int(bound) for bound in (least, most) if bound is not None]
    inside = [Decimal("0.1"), Decimal("1e-7"), Decimal("1.7976931348623157e308"), Decimal(3)]
    numbers = [bound for bound in (least, most) if bound is not None]
    numbers += [
        each for each in inside if (least is None or least <= each) and (most is None or each <= most)
    ]
    return [float(each) for each in numbers]


def _any_json(field: Field) -> list[Json]:
    values = ["", "é\u2028", 0, -1, 0.1, 1e300, False, [], {}, [[{"a": [None]}]], {"é": {"b": 2**63 - 1}}]
    padded = "x" * (field.bytes - 2)
    return [each for each in [*values, padded] if len(json.dumps(each, ensure_ascii=False)) <= field.bytes]


def _moments() -> list[Json]:
    return [
        "2026-01-31T12:00:00Z",
        "2026-01-31t12:00:00.5z",
        "2026-01-31T12:00:00.123456+05:30",
        "2026-01-31T23:59:59.999-12:00",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999Z",
    ]


# --- Wrong values ---------------------------------------------------------------------------------------


def wrong(field: Field) -> dict[str, Json]:
    """Return the values that a body may not have, by what is wrong with them. Null is not among them."""
    if not field.is_list:
        return _wrong(field)
    element = field.element
    elements = {f"an element that is {words}": [value] for words, value in _wrong(element).items()}
    too_many = [valid(element) for _ in range(field.length + 1)]
    shapes = {words: value for words, value in TYPES.items() if words != "a list"}
    return {**shapes, **elements, "an element that is null": [None], "too many elements": too_many}


def _wrong(field: Field) -> dict[str, Json]:
    right = RIGHT_TYPES.get(field.kind, set())
    found = {words: value for words, value in TYPES.items() if words not in right}
    match field.kind:
        case "str":
            return found | _wrong_texts(field)
        case "int" | "float":
            return found | _wrong_numbers(field)
        case "decimal":
            return found | _words("decimal") | _wrong_decimals(field)
        case "bool":
            return found | {"zero": 0, "one": 1, "the text true": "true"}
        case "enum":
            return found | _wrong_choices(field)
        case "json":
            return _wrong_json(field)
    return found | _words(field.kind)


def _words(kind: str) -> dict[str, Json]:
    return {f"the text {word[:40]!r}": word for word in WRONG_WORDS[kind]}


def _wrong_texts(field: Field) -> dict[str, Json]:
    least, most = field.lengths
    too_short = {f"{least - 1} characters": "x" * (least - 1)} if least else {}
    return {
        **too_short,
        **INVALID_TEXTS,
        f"{most + 1} characters": "x" * (most + 1),
        f"{most + 1} astral characters": "🍕" * (most + 1),
    }


def _wrong_numbers(field: Field) -> dict[str, Json]:
    found: dict[str, Json] = {
        "the text 1": "1",
        "false": False,
        "not a number": math.nan,
        "infinity": math.inf,
        "400 digits": 10**400,
    }
    if field.kind == "int":
        found |= {"a fraction": 1.5}
    least, most = field.bounds
    if least is not None:
        found["below its lowest"] = _next(field, least, -1)
    if most is not None:
        found["above its highest"] = _next(field, most, 1)
    return found


def _next(field: Field, bound: Decimal, direction: int) -> Json:
    """Return the number just outside a bound."""
    if field.kind == "int":
        return int(bound) + direction
    return math.nextafter(float(bound), direction * math.inf)


def _wrong_decimals(field: Field) -> dict[str, Json]:
    least, most = field.bounds
    assert least is not None
    assert most is not None
    step = Decimal(1).scaleb(-field.places)
    return {
        "below its lowest": written(least - step, field.places),
        "above its highest": written(most + step, field.places),
        "one place too many": written(least, field.places) + ("1" if field.places else ".1"),
        "the number 1.5": 1.5,
    }


def _wrong_choices(field: Field) -> dict[str, Json]:
    first = field.words[0]
    candidates = ["", f"{first}x", f" {first}", first.swapcase(), field.of]
    return {f"the word {word!r}": word for word in candidates if word not in field.words}


def _wrong_json(field: Field) -> dict[str, Json]:
    return {
        "a byte too many": "x" * (field.bytes - 1),
        "a NUL inside": {"a": ["\u0000"]},
        "a surrogate inside": {"\ud800": 1},
        "infinity inside": [math.inf],
    }


# --- What comes back ------------------------------------------------------------------------------------


def is_kept(field: Field, sent: Json, answered: Json) -> bool:
    """Return whether the service's value is what was sent, in the form that the service writes."""
    if sent is None or answered is None:
        return sent is answered
    if field.is_list:
        pairs = zip(sent, answered, strict=False)
        return len(sent) == len(answered) and all(is_kept(field.element, *pair) for pair in pairs)
    match field.kind:
        case "decimal":
            return bool(answered == written(Decimal(sent), field.places))
        case "datetime":
            return bool(answered.endswith("Z") and _moment(answered) == _moment(sent))
        case "uuid" | "ref":
            return bool(answered == sent.lower())
        case "float":
            return not isinstance(answered, bool) and float(answered) == float(sent)
    return json.dumps(answered) == json.dumps(sent)


def _moment(text: str) -> datetime:
    """Return the moment in milliseconds."""
    moment = datetime.fromisoformat(text.upper()).astimezone(UTC)
    return moment.replace(microsecond=moment.microsecond // 1_000 * 1_000)


# --- Filters --------------------------------------------------------------------------------------------


def in_query(value: Json) -> str:
    """Return how a query parameter writes a value."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def spellings(field: Field, value: Json) -> list[str]:
    """Return all ways to write a value in a query that mean the same."""
    text = in_query(value)
    match field.kind:
        case "decimal" if field.places and text.endswith("0"):
            return [text, text.rstrip("0").rstrip(".")]
        case "datetime":
            moment = datetime.fromisoformat(text)
            return [text, (moment + timedelta(hours=2)).isoformat().replace("+00:00", "+02:00")]
        case "uuid" | "ref":
            return [text, text.upper()]
    return [text]


def wrong_in_query(field: Field) -> list[str]:
    """Return what no value of the field can be, as a query parameter writes it."""
    of_kind = {
        "int": ["x", "1.5", str(MAX_EXACT + 1), "1e3"],
        "decimal": ["x", "NaN", "1e1"],
        "bool": ["x", "2"],
        "enum": [f"{field.words[0]}x", ""],
    }
    return of_kind.get(field.kind, WRONG_WORDS.get(field.kind, []))
