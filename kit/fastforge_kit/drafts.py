"""Bodies that create rows of a resource, each with new values in its unique fields."""

import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any
from uuid import uuid4
from zlib import crc32

from fastforge_kit.errors import CannotMeasure
from fastforge_kit.openapi import Resource, Schema
from fastforge_kit.service import Service, expect

# The number of rows that are created to find out which fields are unique.
PROBES = 2
# Values as large as those of real rows, so that figures of different services are comparable.
USUAL_TEXT = "A sturdy thing of the usual size, delivered within a week."
USUAL_NUMBER = 12_900
USUAL_WORDS = ("garden", "steel")
LONG_TEXT = 500
# Three digits for the kind of a row, twelve for its number.
NUMBERED = 10**15
# Characters that distinguish texts of different kinds.
SALT = 4
ANOTHER = "Measure another resource: fastforge bench --resource NAME"


class Drafts:
    """Drafts of one resource, for rows that do not exist yet."""

    def __init__(self, service: Service, resources: Sequence[Resource], resource: Resource) -> None:
        """Create the rows that others refer to, and two rows to find out what the service accepts.

        Raises:
            CannotMeasure: The service refuses the example in its OpenAPI document.
        """
        self.prefix = uuid4().hex
        self._service = service
        self._resource = resource
        self._unique: set[str] = set()
        referred = _referred(service, resources, resource)
        self._example = {**resource.example, **referred}
        usual = {name: _usual(resource.fields[name], value) for name, value in resource.example.items()}
        self._values = {**usual, **referred}
        for number in range(PROBES):
            self.location = self._create_first(number)

    def draft(self, kind: str, number: int | str) -> dict[str, Any]:
        """Return the draft of a kind with this number, which has at most twelve digits.

        Raises:
            CannotMeasure: A unique field has no room for it.
        """
        return {**self._values, **{name: self._new_value(name, kind, str(number)) for name in self._unique}}

    def change(self, counter: str) -> str:
        """Return the body of a PATCH that contains the counter, or changes nothing if no field has room for it."""
        # 1 before the counter, because numbers in JSON must not begin with zeros.
        highest = 2 * 10 ** len(counter)
        for name, schema in self._free_fields():
            if schema.get("type") == "integer" and _has_room(schema, highest // 2, highest):
                return f'{{"{name}": 1{counter}}}'
        for name, schema in self._free_fields():
            if _is_text(schema) and schema["maxLength"] > len(counter):
                return json.dumps({name: f"changed {counter}"[-schema["maxLength"] :]})
        return json.dumps({name: self._values[name] for name, _ in self._free_fields()[:1]})

    def _free_fields(self) -> list[tuple[str, Schema]]:
        fixed = self._unique | set(self._resource.references)
        return [(name, schema) for name, schema in self._resource.fields.items() if name not in fixed]

    def _create_first(self, number: int) -> str:
        """Create a row, and return its path; a field that turns out to be unique varies from then on."""
        while True:
            body = json.dumps(self.draft("first", number)).encode()
            response = self._service.request("POST", self._resource.path, body)
            if response.status == HTTPStatus.UNPROCESSABLE_ENTITY and self._values != self._example:
                # The owner's rules may require more than the types do.
                self._values = self._example
                continue
            taken = response.problem_member("field") if response.status == HTTPStatus.CONFLICT else None
            if taken is None or taken not in self._resource.fields or taken in self._unique:
                return str(expect(HTTPStatus.CREATED, response).headers["Location"])
            self._unique.add(taken)

    def _new_value(self, name: str, kind: str, number: str) -> object:
        schema = self._resource.fields[name]
        salt = crc32(f"{self.prefix} {kind}".encode())
        if schema.get("format") == "uuid":
            return f"{salt:08x}-{self.prefix[:4]}-4000-8000-{number.zfill(12)}"
        if _is_text(schema):
            return _text(schema, f"{self.prefix} {kind} {number}", f"{salt:08x}{number}")
        if schema.get("type") == "integer" and _has_room(schema, 0, NUMBERED):
            return int(f"{100 + salt % 900}{number.zfill(12)}")
        if schema.get("optional"):
            return None
        raise CannotMeasure(
            f"{name} of {self._resource.path} must be unique, and has no room for new values.",
            ANOTHER,
        )


def _referred(service: Service, resources: Sequence[Resource], resource: Resource) -> dict[str, str | None]:
    """Return a value for each reference: the id of a new row, or null if the field is optional."""
    by_name = {each.name: each for each in resources if each is not resource}
    values: dict[str, str | None] = {}
    for field, name in resource.references.items():
        is_needed = not resource.fields[field].get("optional")
        if name in by_name and is_needed:
            location = Drafts(service, resources, by_name[name]).location
            values[field] = location.rpartition("/")[2]
        else:
            values[field] = None
    return values


def _usual(schema: Schema, value: object) -> object:
    """Return a value of the usual size if the field has room for it, else the example's."""
    if _is_text(schema) and schema["maxLength"] >= LONG_TEXT:
        return USUAL_TEXT
    if schema.get("type") == "integer" and _has_room(schema, USUAL_NUMBER, USUAL_NUMBER):
        return USUAL_NUMBER
    items = schema.get("items", {})
    longest = max(map(len, USUAL_WORDS))
    if _is_text(items) and items["maxLength"] >= longest and schema.get("maxItems", 2) >= 2:
        return list(USUAL_WORDS)
    return value


def _is_text(schema: Schema) -> bool:
    # Decimals are strings as well, without a length.
    return schema.get("type") == "string" and "maxLength" in schema


def _has_room(schema: Schema, low: int, high: int) -> bool:
    return bool(schema.get("minimum", low) <= low and high <= schema.get("maximum", high))


def _text(schema: Schema, text: str, short: str) -> str:
    """Return the end of the text that fits into the field, or of the short text if the number would be cut off."""
    longest: int = schema["maxLength"]
    if longest < len(text.rpartition(" ")[2]) + SALT:
        raise CannotMeasure(
            f"A unique text of at most {longest} characters has no room for so many values.", ANOTHER
        )
    return text[-longest:] if longest >= len(text) - len(short) else short[-longest:]
