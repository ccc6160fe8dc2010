"""Random lists of resources for hypothesis, and the meaning of their fields; they do not use the grammar."""

from __future__ import annotations

from collections.abc import Callable
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
    # Words of Python, SQL and the generated code, and the shortest name and one of three words.
    "a",
    "class_name",
    "client",
    "import_job",
    "model",
    "number",
    "purchase_order_line",
    "test",
    "type",
    "x2_y10",
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
    "annotated",
    "client",
    "created",
    "draft",
    "field",
    "i",
    "match",
    "models",
    "number",
    "o",
    "path",
    "router",
    "rows",
    "select",
    "type",
    "uuid",
    "values",
)
# Names that the route that lists rows needs.
NO_FILTERS = {"models", "type"}
FLAGS = ("optional", "unique", "filter")
MAX_EXACT = 2**53 - 1
# With `_rows` it is as long as a plural can be.
LONGEST_SINGULAR = 19
# What a text may hold besides letters: no colon, comma, quote, backslash, brace or percent sign.
PUNCTUATION = "!#$&()*+-./;<=>?@[]^_`|~"


@dataclass(frozen=True)
class DrawnField:
    """A field as text, and its expected meaning."""

    text: str
    meaning: dict[str, Any]


def some(draw: st.DrawFn, *flags: str) -> dict[str, Any]:
    """Draw some of the flags."""
    return {flag: True for flag in flags if draw(st.booleans())}


def written(
    draw: st.DrawFn, name: str, type_: str, options: list[str], meaning: dict[str, Any]
) -> DrawnField:
    """Return the field with its options in any order; flags are those that mean true."""
    flags = [flag for flag in FLAGS if meaning.get(flag) is True]
    return DrawnField(":".join([f"{name}:{type_}", *draw(st.permutations([*options, *flags]))]), meaning)


def names(words: tuple[str, ...]) -> st.SearchStrategy[str]:
    """Draw one or two of the words, joined."""
    return st.lists(st.sampled_from(words), min_size=1, max_size=2).map("_".join)


def texts(least: int, most: int) -> st.SearchStrategy[str]:
    """Draw a text that is valid in a default."""
    letters = st.characters(categories=["L", "N"]) | st.sampled_from(PUNCTUATION)
    return st.text(letters, min_size=least, max_size=min(most, 40))


@st.composite
def _str(draw: st.DrawFn, name: str) -> DrawnField:
    least = draw(st.integers(0, 20))
    most = draw(st.integers(max(least, 1), max(least, 3)) | st.integers(max(least, 1), 500))
    meaning: dict[str, Any] = {"kind": "str", "min": least, "max": most}
    meaning |= some(draw, "optional", "unique", "filter")
    options = [f"min={least}", f"max={most}"]
    if not meaning.get("unique") and draw(st.booleans()):
        meaning |= {"has_default": True, "default": draw(texts(least, most))}
        options.append(f"default={meaning['default']}")
    return written(draw, name, "str", options, meaning)


@st.composite
def _number(draw: st.DrawFn, name: str) -> DrawnField:
    """Draw a number with both bounds, one or none, as far apart as can be or as near."""
    kind = draw(st.sampled_from(["int", "float", "decimal"]))
    digits = draw(st.integers(1, 18)) if kind == "decimal" else 0
    places = {"int": 0, "float": 4, "decimal": draw(st.integers(0, digits))}[kind]
    largest = {"int": MAX_EXACT, "float": 10**15, "decimal": 10**digits - 1}[kind]
    least = draw(st.integers(-largest, largest))
    most = min(largest, least + draw(st.integers(0, 3) | st.integers(0, 2 * largest)))
    middle = draw(st.integers(least, most))
    low, between, high = (f"{Decimal(each).scaleb(-places):f}" for each in (least, middle, most))
    read: Callable[[str], Any] = {"int": int, "float": float, "decimal": str}[kind]
    meaning: dict[str, Any] = {
        "kind": kind,
        **some(draw, "optional", *(["filter"] if kind != "float" else [])),
    }
    options = []
    if kind == "decimal":
        options = [f"digits={digits}", f"places={places}"]
        meaning |= {"digits": digits, "places": places}
    for option, text in (("min", low), ("max", high)):
        if draw(st.booleans()):
            options.append(f"{option}={text}")
            meaning[option] = read(text)
    choice = draw(st.sampled_from(["", "default", "unique"]))
    if choice == "default":
        options.append(f"default={between}")
        meaning |= {"has_default": True, "default": read(between)}
    # One value may be all that is left between the bounds.
    lowest, highest = least if "min" in meaning else -largest, most if "max" in meaning else largest
    if choice == "unique" and lowest < highest:
        meaning["unique"] = True
    return written(draw, name, kind, options, meaning)


@st.composite
def _simple(draw: st.DrawFn, name: str) -> DrawnField:
    kind = draw(st.sampled_from(["bool", "date", "datetime", "uuid", "json"]))
    flags = {"bool": ("optional", "filter"), "json": ("optional",)}.get(
        kind, ("optional", "unique", "filter")
    )
    meaning: dict[str, Any] = {"kind": kind, **some(draw, *flags)}
    options = []
    if kind == "bool" and draw(st.booleans()):
        meaning |= {"has_default": True, "default": draw(st.booleans())}
        options.append(f"default={str(meaning['default']).lower()}")
    if kind == "date" and not meaning.get("unique") and draw(st.booleans()):
        meaning |= {"has_default": True, "default": str(draw(st.dates(date(1, 1, 1))))}
        options.append(f"default={meaning['default']}")
    if kind == "json":
        meaning["max"] = draw(st.integers(2, 5) | st.integers(2, 1_000_000))
        options.append(f"max={meaning['max']}")
    return written(draw, name, kind, options, meaning)


@st.composite
def _enum(draw: st.DrawFn, name: str) -> DrawnField:
    word = st.text("abcXYZ019_.+-", min_size=1, max_size=50) | st.sampled_from(["number", "None", "client"])
    words = draw(st.lists(word, min_size=2, max_size=50, unique=True))
    meaning: dict[str, Any] = {"kind": "enum", "words": words, **some(draw, "optional", "unique", "filter")}
    options = []
    if not meaning.get("unique") and draw(st.booleans()):
        # A short one, because a long one needs more than a line with a long name.
        meaning |= {"has_default": True, "default": min(words, key=len)}
        options.append(f"default={meaning['default']}")
    return written(draw, name, f"enum={','.join(words)}", options, meaning)


@st.composite
def _list(draw: st.DrawFn, name: str) -> DrawnField:
    kind = draw(st.sampled_from(["str", "int", "uuid"]))
    most, most_each = draw(st.integers(1, 1000)), draw(st.integers(1, 3) | st.integers(1, 500))
    meaning: dict[str, Any] = {"kind": kind, "list": True, "max": most, "max_each": most_each}
    meaning |= some(draw, "optional", "filter")
    options = [f"max={most}", f"max_each={most_each}"]
    if draw(st.booleans()):
        elements = {"str": texts(1, min(most_each, 8)), "int": st.integers(-99, 99), "uuid": st.just("")}[
            kind
        ]
        chosen = draw(st.lists(elements, max_size=0 if kind == "uuid" else min(most, 3)))
        meaning |= {"has_default": True, "default": chosen}
        options.append(f"default={','.join(map(str, chosen))}")
    return written(draw, name, f"list={kind}", options, meaning)


def reference(draw: st.DrawFn, name: str, target: str, *flags: str) -> DrawnField:
    """Draw a reference with these flags, and more if there are none."""
    on_delete = draw(st.sampled_from(["restrict", "cascade", "null"]))
    given = dict.fromkeys(flags, True) or some(draw, "optional", "filter")
    given |= {"optional": True} if on_delete == "null" else {}
    meaning = {"kind": "ref", "target": target, "on_delete": on_delete, "relation": name, **given}
    return written(draw, name, f"ref={target}", [f"on_delete={on_delete}"], meaning)


def of_any_kind(name: str) -> st.SearchStrategy[DrawnField]:
    """Draw a field of this name that is not a reference."""
    return st.one_of(_str(name), _number(name), _simple(name), _enum(name), _list(name))


@st.composite
def fields(draw: st.DrawFn, own: str, plurals: tuple[str, ...]) -> list[DrawnField]:
    """Draw the fields of a resource, which may refer to itself and to these plurals."""
    drawn = draw(st.lists(names(WORDS), min_size=1, max_size=8, unique=True))
    found = [draw(of_any_kind(name).filter(is_possible)) for name in drawn]
    targets = draw(st.lists(st.sampled_from(plurals), max_size=3)) if plurals else []
    found += [reference(draw, f"link{number}", plural) for number, plural in enumerate(targets)]
    if draw(st.booleans()) and targets:
        found.append(reference(draw, "twin", targets[0], "unique"))
    if draw(st.integers(0, 3)) == 0:
        found.append(reference(draw, "parent", own, "optional"))
    return draw(st.permutations(found))


def is_possible(field: DrawnField) -> bool:
    """Return whether the name can be that of a filter, if it is one."""
    return field.text.partition(":")[0] not in NO_FILTERS or not field.meaning.get("filter")


@st.composite
def resource_lists(draw: st.DrawFn) -> list[tuple[dict[str, Any], list[DrawnField]]]:
    """Draw valid resources in any order, each with the meaning of its fields."""
    drawn: list[tuple[dict[str, Any], list[DrawnField]]] = []
    plurals: tuple[str, ...] = ()
    singulars = names(SINGULARS).filter(lambda name: len(name) <= LONGEST_SINGULAR)
    for name in draw(st.lists(singulars, max_size=5, unique=True)):
        plural = f"{name}_rows"
        found = draw(fields(plural, plurals))
        resource: dict[str, Any] = {"name": name, "plural": plural, "fields": [each.text for each in found]}
        if draw(st.booleans()):
            resource["without"] = draw(st.lists(st.sampled_from(["batch", "export", "summary"]), unique=True))
        drawn.append((resource, found))
        plurals = (*plurals, plural)
    if len(drawn) > 1 and draw(st.integers(0, 3)) == 0:
        # A circle, which one of its references does not need.
        resource, found = drawn[0]
        circle = reference(draw, "circle", plurals[-1], "optional")
        resource["fields"].append(circle.text)
        found.append(circle)
    return draw(st.permutations(drawn))


def added_fields() -> st.SearchStrategy[DrawnField]:
    """Draw a field that a table with rows can get."""
    return of_any_kind("added").filter(
        lambda field: bool(field.meaning.get("optional") or "has_default" in field.meaning)
    )
