"""Random lists of resources for hypothesis, and the meaning of their fields; they do not use the grammar."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

SINGULARS = (
    "invoice",
    "parcel",
    "ticket",
    "vet",
    "zone",
    "lamp",
    "box",
    "category",
    "order",
    "user",
    "group",
)
WORDS = (
    "red",
    "green",
    "blue",
    "size",
    "note",
    "total",
    "due",
    "owner",
    "code",
    "kind",
    "flag",
    "to",
    "index",
)
# Characters of texts besides letters: no colon, comma, quote, backslash, brace or percent sign.
PUNCTUATION = "!#$&()*+-./;<=>?@[]^_`|~"


@dataclass(frozen=True)
class DrawnField:
    """A field as text, and its expected meaning."""

    text: str
    meaning: dict[str, Any]


def _options(*choices: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Draw the options in any order, each or not."""
    return st.tuples(*(st.just("") | choice for choice in choices)).flatmap(
        lambda drawn: st.permutations([each for each in drawn if each]).map("".join)
    )


def names(words: tuple[str, ...]) -> st.SearchStrategy[str]:
    """Draw one or two of the words, joined."""
    return st.lists(st.sampled_from(words), min_size=1, max_size=2).map("_".join)


def texts(least: int, most: int) -> st.SearchStrategy[str]:
    """Draw a text that is valid in a default."""
    letters = st.characters(categories=["L", "N"]) | st.sampled_from(PUNCTUATION)
    return st.text(letters, min_size=least, max_size=min(most, 50))


@st.composite
def _str(draw: st.DrawFn, name: str) -> DrawnField:
    least = draw(st.integers(0, 20))
    most = draw(st.integers(max(least, 1), 500))
    options = [f"min={least}", f"max={most}"]
    meaning: dict[str, Any] = {"kind": "str", "min": least, "max": most}
    kind = draw(st.sampled_from(["", "default", "unique", "filter"]))
    if kind == "default":
        meaning |= {"has_default": True, "default": draw(texts(least, most))}
        options.append(f"default={meaning['default']}")
    elif kind:
        meaning[kind] = True
        options.append(kind)
    return DrawnField(":".join([f"{name}:str", *draw(st.permutations(options))]), meaning)


@st.composite
def _number(draw: st.DrawFn, name: str) -> DrawnField:
    kind = draw(st.sampled_from(["int", "float", "decimal"]))
    places = {"int": 0, "float": 4, "decimal": draw(st.integers(0, 6))}[kind]
    least, middle, most = sorted(draw(st.lists(st.integers(-(10**8), 10**8), min_size=3, max_size=3)))
    written = [
        str(Decimal(each).scaleb(-places).quantize(Decimal(1).scaleb(-places)))
        for each in (least, middle, most)
    ]
    read = {"int": int, "float": float, "decimal": str}[kind]
    meaning: dict[str, Any] = {"kind": kind, "min": read(written[0]), "max": read(written[2])}
    options = [f"min={written[0]}", f"max={written[2]}"]
    if kind == "decimal":
        options += ["digits=18", f"places={places}"]
        meaning |= {"digits": 18, "places": places}
    if draw(st.booleans()):
        options.append(f"default={written[1]}")
        meaning |= {"has_default": True, "default": read(written[1])}
    return DrawnField(":".join([f"{name}:{kind}", *draw(st.permutations(options))]), meaning)


@st.composite
def _simple(draw: st.DrawFn, name: str) -> DrawnField:
    kind = draw(st.sampled_from(["bool", "date", "datetime", "uuid", "json"]))
    meaning: dict[str, Any] = {"kind": kind, "optional": draw(st.booleans())}
    default = ""
    if kind == "bool" and draw(st.booleans()):
        meaning |= {"has_default": True, "default": draw(st.booleans())}
        default = f":default={str(meaning['default']).lower()}"
    if kind == "date" and draw(st.booleans()):
        meaning |= {"has_default": True, "default": str(draw(st.dates(date(1, 1, 1))))}
        default = f":default={meaning['default']}"
    return DrawnField(f"{name}:{kind}{':optional' if meaning['optional'] else ''}{default}", meaning)


@st.composite
def _enum(draw: st.DrawFn, name: str) -> DrawnField:
    word = st.text("abcXYZ019_.+-", min_size=1, max_size=50)
    words = draw(st.lists(word, min_size=2, max_size=50, unique=True))
    meaning: dict[str, Any] = {"kind": "enum", "words": words, "filter": draw(st.booleans())}
    flag = ":filter" if meaning["filter"] else ""
    return DrawnField(f"{name}:enum={','.join(words)}{flag}", meaning)


@st.composite
def _list(draw: st.DrawFn, name: str) -> DrawnField:
    kind = draw(st.sampled_from(["str", "int", "uuid"]))
    meaning: dict[str, Any] = {"kind": kind, "list": True, "max": draw(st.integers(3, 1000))}
    default = ""
    if draw(st.booleans()):
        elements = {"str": texts(1, 8), "int": st.integers(-99, 99), "uuid": st.just("")}[kind]
        chosen = draw(st.lists(elements, max_size=0 if kind == "uuid" else 3))
        meaning |= {"has_default": True, "default": chosen}
        default = f":default={','.join(map(str, chosen))}"
    return DrawnField(f"{name}:list={kind}:max={meaning['max']}{default}", meaning)


@st.composite
def fields(draw: st.DrawFn, plurals: tuple[str, ...]) -> list[DrawnField]:
    """Draw the fields of a resource, which may refer to these plurals."""
    drawn = draw(st.lists(names(WORDS), min_size=1, max_size=8, unique=True))
    found = [
        draw(st.one_of(_str(name), _number(name), _simple(name), _enum(name), _list(name))) for name in drawn
    ]
    for number, plural in enumerate(draw(st.lists(st.sampled_from(plurals), max_size=3)) if plurals else []):
        on_delete = draw(st.sampled_from(["restrict", "cascade", "null"]))
        optional = ":optional" if on_delete == "null" else ""
        text = f"link{number}:ref={plural}:on_delete={on_delete}{optional}"
        meaning = {"kind": "ref", "target": plural, "on_delete": on_delete, "relation": f"link{number}"}
        found.append(DrawnField(text, meaning))
    return draw(st.permutations(found))


@st.composite
def resource_lists(draw: st.DrawFn) -> list[tuple[dict[str, Any], list[DrawnField]]]:
    """Draw valid resources in any order, each with the meaning of its fields."""
    drawn: list[tuple[dict[str, Any], list[DrawnField]]] = []
    plurals: tuple[str, ...] = ()
    for name in draw(st.lists(names(SINGULARS), max_size=5, unique=True)):
        found = draw(fields(plurals))
        plural = f"{name}_rows"[:24].rstrip("_")
        resource: dict[str, Any] = {"name": name, "plural": plural, "fields": [each.text for each in found]}
        if draw(st.booleans()):
            resource["without"] = draw(st.lists(st.sampled_from(["batch", "export", "summary"]), unique=True))
        drawn.append((resource, found))
        plurals = (*plurals, plural)
    return draw(st.permutations(drawn))
