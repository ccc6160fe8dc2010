"""The answer `resources`, read by its documentation alone: what clients may send to such a service."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

MAX_EXACT = 2**53 - 1
ENDPOINTS = ("batch", "export", "summary")
# What holds if a field does not say otherwise, see `fastforge options --json`.
TEXT_LENGTHS = (1, 200)
DIGITS, PLACES = 12, 2
LIST_LENGTH, ELEMENT_LENGTH = 20, 200
JSON_BYTES = 10_000


@dataclass(frozen=True)
class Field:
    """One field: `kind` is its type, or that of its elements; `of` the words of an enum or a plural."""

    name: str
    kind: str
    options: Mapping[str, str]
    of: str = ""
    is_list: bool = False

    @property
    def is_optional(self) -> bool:
        """True if it may be null."""
        return "optional" in self.options

    @property
    def is_required(self) -> bool:
        """True if a new row needs a value."""
        return not self.is_optional and "default" not in self.options

    @property
    def is_unique(self) -> bool:
        """True if no two rows may have the same value."""
        return "unique" in self.options

    @property
    def is_filter(self) -> bool:
        """True if a page can be filtered by a value."""
        return "filter" in self.options

    @property
    def words(self) -> list[str]:
        """The words of an enum."""
        return self.of.split(",")

    @property
    def relation(self) -> str:
        """The name under which a reference is expanded."""
        return self.name.removesuffix("_id")

    @property
    def on_delete(self) -> str:
        """The effect on the row if the row it refers to is deleted."""
        return self.options.get("on_delete", "restrict")

    @property
    def lengths(self) -> tuple[int, int]:
        """The fewest and the most characters of a text."""
        least, most = TEXT_LENGTHS
        return int(self.options.get("min", least)), int(self.options.get("max", most))

    @property
    def length(self) -> int:
        """The most elements of a list."""
        return int(self.options.get("max", LIST_LENGTH))

    @property
    def bytes(self) -> int:
        """The most bytes of a JSON value."""
        return int(self.options.get("max", JSON_BYTES))

    @property
    def places(self) -> int:
        """The digits of a decimal after its point."""
        return int(self.options.get("places", PLACES))

    @property
    def digits(self) -> int:
        """All digits of a decimal."""
        return int(self.options.get("digits", DIGITS))

    @property
    def bounds(self) -> tuple[Decimal | None, Decimal | None]:
        """The lowest and the highest value of a number, None if any will do."""
        least, most = self._natural_bounds
        given = {name: Decimal(self.options[name]) for name in ("min", "max") if name in self.options}
        return given.get("min", least), given.get("max", most)

    @property
    def _natural_bounds(self) -> tuple[Decimal | None, Decimal | None]:
        if self.kind == "int":
            return Decimal(-MAX_EXACT), Decimal(MAX_EXACT)
        if self.kind == "decimal":
            most = Decimal(10**self.digits - 1).scaleb(-self.places)
            return -most, most
        return None, None

    @property
    def element(self) -> Field:
        """One element of a list, as if it were a field."""
        most = self.options.get("max_each", str(ELEMENT_LENGTH))
        return Field(self.name, self.kind, {"max": most} if self.kind == "str" else {})

    @property
    def default(self) -> Any:
        """The JSON value in a new row if the field is left out."""
        if "default" not in self.options:
            return None
        text = self.options["default"]
        if self.is_list:
            return [_json(self.kind, each) for each in text.split(",")] if text else []
        return _json(self.kind, text)


@dataclass(frozen=True)
class Resource:
    """One resource of the answer."""

    name: str
    plural: str
    fields: tuple[Field, ...]
    without: tuple[str, ...] = ()
    # True if callers see and change only the rows that they created.
    is_owned: bool = False

    @property
    def path(self) -> str:
        """The path of its endpoints."""
        return f"/api/v1/{self.plural.replace('_', '-')}"

    @property
    def references(self) -> list[Field]:
        """The fields that refer to rows."""
        return [field for field in self.fields if field.kind == "ref"]

    @property
    def filters(self) -> list[Field]:
        """The fields that narrow down a page."""
        return [field for field in self.fields if field.is_filter]

    @property
    def unique(self) -> list[Field]:
        """The fields whose values no two rows share."""
        return [field for field in self.fields if field.is_unique]

    def has(self, endpoint: str) -> bool:
        """Return whether it has this one of `ENDPOINTS`."""
        return endpoint not in self.without


def resources_of(answer: Iterable[Mapping[str, Any]]) -> list[Resource]:
    """Return the resources of an answer."""
    return [
        Resource(
            name=each["name"],
            plural=each.get("plural") or plural_of(each["name"]),
            fields=tuple(map(field_of, each["fields"])),
            without=tuple(each.get("without", ())),
            is_owned=each.get("owned", False),
        )
        for each in answer
    ]


def field_of(text: str) -> Field:
    """Return the field that a text such as `note:str:max=20:optional` describes. No value holds a colon."""
    name, type_, *options = text.split(":")
    kind, _, of = type_.partition("=")
    given = {option: value for option, _, value in (each.partition("=") for each in options)}
    if kind == "list":
        return Field(name, of, given, is_list=True)
    return Field(f"{name}_id" if kind == "ref" else name, kind, given, of)


def plural_of(name: str) -> str:
    """Return the plural of an English noun."""
    if name[-1] == "y" and name[-2:-1] not in "aeiou":
        return f"{name[:-1]}ies"
    return f"{name}es" if name.endswith(("s", "x", "z", "ch", "sh")) else f"{name}s"


def _json(kind: str, text: str) -> Any:
    if kind == "bool":
        return text == "true"
    return {"int": int, "float": float}.get(kind, str)(text)
