"""Models of request bodies: strict about the types that JSON has, and plain annotations for all others.

JSON has neither UUIDs nor dates nor sets, so they arrive as text and arrays. Pydantic's strict mode refuses these,
because FastAPI validates what `json.loads` returns; its lax mode takes `"1"` for an integer and 1700000000 for a date.
"""

from collections.abc import Iterator
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from app.forge.fields import IS_READ, read_from, read_from_text, text_of

# `"1"` and `true` are not integers, NaN is not a number (RFC 8259), and unknown fields are refused.
STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

# Types that JSON writes as an array or object, and Python strictly as one of its own.
CONTAINERS = frozenset({"set", "frozenset", "tuple", "deque", "dataclass"})
NUMBERS = frozenset({"int", "float", "bool"})
SCALARS: dict[type, CoreSchema] = {
    bool: core_schema.bool_schema(strict=True),
    int: core_schema.int_schema(strict=True),
    float: core_schema.float_schema(strict=True),
    str: core_schema.str_schema(strict=True),
}
# What a schema holds besides other schemas.
NO_SCHEMAS = frozenset({"metadata", "serialization", "config", "default", "expected", "members", "cls"})

TypedDictType = TypeVar("TypedDictType")


def _read_from_json(schema: CoreSchema, handler: GetCoreSchemaHandler) -> CoreSchema:
    """Change the schema of a body in place, and return it."""
    waiting = list(_inside(handler.resolve_ref_schema(schema)))
    seen: set[int] = set()
    while waiting:
        inner: Any = handler.resolve_ref_schema(waiting.pop())
        # A model of another kind has its own rules.
        if id(inner) in seen or inner["type"] == "model" or IS_READ in inner.get("metadata", {}):
            continue
        seen.add(id(inner))
        waiting += _inside(inner)
        plain = dict(inner)
        inner.clear()
        # Other schemas name this one by its reference, so that stays outermost.
        inner.update({key: plain.pop(key) for key in ("ref",) if key in plain})
        inner.update(_from_json(plain))
    return schema


def _inside(part: Any) -> Iterator[CoreSchema]:
    """Yield the schemas directly inside of a schema, or of a list or mapping of schemas."""
    values = part.items() if isinstance(part, dict) else enumerate(part)
    for name, value in values:
        if _is_schema(part) and name in NO_SCHEMAS:
            continue
        if _is_schema(value):
            yield value
        elif isinstance(value, dict | list | tuple):
            yield from _inside(value)


def _is_schema(part: object) -> bool:
    # A mapping of fields may have one that is called "type", but that is a schema.
    return isinstance(part, dict) and isinstance(part.get("type"), str)


def _from_json(schema: CoreSchema) -> CoreSchema:
    """Return the schema for what `json.loads` makes of its type."""
    text = text_of(schema)
    if text is not None:
        return read_from_text(schema, text)
    if schema["type"] == "enum":
        return _enum_from_json(schema)
    if schema["type"] == "json-or-python":
        return _one_of_both(schema)
    if schema["type"] == "dict" and schema.get("keys_schema", {}).get("type") in NUMBERS:
        # The keys of a JSON object are text.
        return {**schema, "keys_schema": {**schema["keys_schema"], "strict": False}}
    if schema["type"] in CONTAINERS:
        return {**schema, "strict": False}
    return schema


def _enum_from_json(schema: CoreSchema) -> CoreSchema:
    """Return the schema of an enum by its values; Pydantic's lax mode takes `"1"` and `true` for 1."""
    values = [member.value for member in schema["members"]]
    inputs = [SCALARS[kind] for kind in SCALARS if kind in set(map(type, values))]
    return read_from(inputs, schema, schema["cls"], f"one of {', '.join(map(repr, values))}")


def _one_of_both(schema: CoreSchema) -> CoreSchema:
    """Return the schema of a type that has one for JSON and one for Python, such as an IP address or a path."""
    type_ = schema["python_schema"].get("cls")
    return core_schema.union_schema(
        [schema["json_schema"], schema["python_schema"]],
        mode="left_to_right",
        custom_error_type="wrong_form",
        custom_error_message=f"Input should be the text of {type_.__name__ if type_ else 'another type'}",
    )


class Body(BaseModel):
    """A JSON object that a client sends. Its fields are annotated as in any other model."""

    model_config = STRICT

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return the model's schema, with every type read from JSON."""
        return _read_from_json(handler(source), handler)


def body(typed_dict: type[TypedDictType]) -> type[TypedDictType]:
    """Make a `TypedDict` a body: it keeps only the fields that the client sent, so it suits changes."""

    def schema_from_json(source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return _read_from_json(handler(source), handler)

    stated: ConfigDict = getattr(typed_dict, "__pydantic_config__", ConfigDict())
    typed_dict.__pydantic_config__ = {**stated, **STRICT}  # type: ignore[attr-defined]
    typed_dict.__get_pydantic_core_schema__ = schema_from_json  # type: ignore[attr-defined]
    return typed_dict
