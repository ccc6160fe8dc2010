"""Models of bodies: strict validation of requests with plain type annotations, and parts of responses.

JSON has no UUIDs, dates or sets, so they arrive as strings and arrays. FastAPI validates what `json.loads` returns,
and there Pydantic's strict mode rejects them, while its lax mode accepts `"1"` as an integer and 1700000000 as a date.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, PlainSerializer
from pydantic.config import JsonDict
from pydantic_core import CoreSchema, core_schema

from app.forge.fields import IS_READ, read_from, read_from_text, text_of

# `"1"` and `true` are not integers, NaN is not valid JSON (RFC 8259), and unknown fields are rejected.
STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

# Types that JSON writes as an array or object, and that strict mode accepts only as Python objects.
CONTAINERS = frozenset({"set", "frozenset", "tuple", "deque", "dataclass"})
NUMBERS = frozenset({"int", "float", "bool"})
SCALARS: dict[type, CoreSchema] = {
    bool: core_schema.bool_schema(strict=True),
    int: core_schema.int_schema(strict=True),
    float: core_schema.float_schema(strict=True),
    str: core_schema.str_schema(strict=True),
}
# Keys of a schema that never hold other schemas.
NO_SCHEMAS = frozenset({"metadata", "serialization", "config", "default", "expected", "members", "cls"})

# Values by name, as in an example.
JsonObject = JsonDict

# Marks schemas that are written inline in the OpenAPI document, because names of generic models are unreadable.
INLINE = "x-inline"

TypedDictType = TypeVar("TypedDictType")
Value = TypeVar("Value")
Mean = TypeVar("Mean")


def _read_from_json(schema: CoreSchema, handler: GetCoreSchemaHandler) -> CoreSchema:
    """Rewrite the schema of a body in place, and return it."""
    waiting = list(_inside(handler.resolve_ref_schema(schema)))
    seen: set[int] = set()
    while waiting:
        inner: Any = handler.resolve_ref_schema(waiting.pop())
        # Other kinds of models keep their own validation rules.
        if id(inner) in seen or inner["type"] == "model" or IS_READ in inner.get("metadata", {}):
            continue
        seen.add(id(inner))
        waiting += _inside(inner)
        plain = dict(inner)
        inner.clear()
        # Other schemas refer to this one by its `ref`, so `ref` stays on the outermost schema.
        inner.update({key: plain.pop(key) for key in ("ref",) if key in plain})
        inner.update(_from_json(plain))
    return schema


def _inside(part: Any) -> Iterator[CoreSchema]:
    """Yield the direct children of a schema, or of a list or mapping of schemas."""
    values = part.items() if isinstance(part, dict) else enumerate(part)
    for name, value in values:
        if _is_schema(part) and name in NO_SCHEMAS:
            continue
        if _is_schema(value):
            yield value
        elif isinstance(value, dict | list | tuple):
            yield from _inside(value)


def _is_schema(part: object) -> bool:
    # A mapping of fields may contain a field named "type", whose value is a schema and not a string.
    return isinstance(part, dict) and isinstance(part.get("type"), str)


def _from_json(schema: CoreSchema) -> CoreSchema:
    """Return a schema that accepts the type as `json.loads` represents it."""
    text = text_of(schema)
    if text is not None:
        return read_from_text(schema, text)
    if schema["type"] == "enum":
        return _enum_from_json(schema)
    if schema["type"] == "json-or-python":
        return _one_of_both(schema)
    if schema["type"] == "dict" and schema.get("keys_schema", {}).get("type") in NUMBERS:
        # The keys of a JSON object are strings.
        return {**schema, "keys_schema": {**schema["keys_schema"], "strict": False}}
    if schema["type"] in CONTAINERS:
        return {**schema, "strict": False}
    return schema


def _enum_from_json(schema: CoreSchema) -> CoreSchema:
    """Return a schema that accepts an enum's values; Pydantic's lax mode would accept `"1"` and `true` for 1."""
    values = [member.value for member in schema["members"]]
    inputs = [SCALARS[kind] for kind in SCALARS if kind in set(map(type, values))]
    return read_from(inputs, schema, schema["cls"], f"one of {', '.join(map(repr, values))}")


def _one_of_both(schema: CoreSchema) -> CoreSchema:
    """Return the schema of a type with separate JSON and Python schemas, such as an IP address or a path."""
    type_ = schema["python_schema"].get("cls")
    return core_schema.union_schema(
        [schema["json_schema"], schema["python_schema"]],
        mode="left_to_right",
        custom_error_type="wrong_form",
        custom_error_message=f"Input should be the text of {type_.__name__ if type_ else 'another type'}",
    )


class Body(BaseModel):
    """A JSON object sent by a client. Annotate its fields as in any other Pydantic model."""

    model_config = STRICT

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return the model's schema, changed to read every type from JSON."""
        return _read_from_json(handler(source), handler)


def body(typed_dict: type[TypedDictType]) -> type[TypedDictType]:
    """Turn a `TypedDict` into a body. It holds only the fields that the client sent, which suits partial updates."""

    def schema_from_json(source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return _read_from_json(handler(source), handler)

    stated: ConfigDict = getattr(typed_dict, "__pydantic_config__", ConfigDict())
    typed_dict.__pydantic_config__ = {**stated, **STRICT}  # type: ignore[attr-defined]
    typed_dict.__get_pydantic_core_schema__ = schema_from_json  # type: ignore[attr-defined]
    return typed_dict


def documented(example: JsonObject) -> ConfigDict:
    """Return the configuration of a model that shows the example in the OpenAPI document."""
    return ConfigDict(json_schema_extra={"examples": [example]})


def documented_row(fields: JsonObject) -> ConfigDict:
    """Return the configuration of a response model: the fields with an id and times make its example."""
    id_ = {"id": "019b76da-a800-7000-8000-000000000000"}
    times = {"created_at": "2026-01-31T12:00:00Z", "updated_at": "2026-01-31T12:00:00Z"}
    return documented({**id_, **fields, **times})


class ResponseModel(BaseModel):
    """A JSON object that the service returns.

    Most responses are bytes that the database wrote, so the model only documents them: its schema is built when it is
    first needed, and not at the start of the service.
    """

    model_config = ConfigDict(defer_build=True)


class Created(ResponseModel):
    """The number of rows that a batch created."""

    created: int


# Python writes small decimals with an exponent, which the contract does not have.
PLAIN = PlainSerializer(
    lambda value: f"{value:f}" if isinstance(value, Decimal) else value, when_used="json-unless-none"
)


class Figures(ResponseModel, Generic[Value, Mean]):
    """The lowest, highest and mean value of a field; null if no row has one."""

    model_config = ConfigDict(json_schema_extra={INLINE: True})

    min: Annotated[Value | None, PLAIN]
    max: Annotated[Value | None, PLAIN]
    mean: Annotated[Mean | None, PLAIN]


class Count(ResponseModel, Generic[Value]):
    """A value, and the number of rows that have it."""

    model_config = ConfigDict(json_schema_extra={INLINE: True})

    value: Value
    count: int
