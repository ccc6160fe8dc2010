"""Readers of single parameters, worked out once per route."""

from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin
from uuid import UUID

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import request_params_to_args
from pydantic import ValidationError
from pydantic_core import SchemaValidator

SCALARS = frozenset(
    {str, int, float, bool, bytes, Decimal, UUID, date, datetime, time, timedelta, type(None)}
)
# Defaults of these types cannot be changed by one request and seen by the next.
CONSTANTS = (str, int, float, bytes, Decimal, UUID, date, time, timedelta, Enum, type(None))

# Returns the value of a parameter. If it is invalid, adds FastAPI's errors to the list.
Read = Callable[[Request, list[Any]], Any]
Get = Callable[[Request], str | None]


class Source(NamedTuple):
    """A part of the request that has parameters."""

    values: Callable[[Request], Mapping[str, Any]]
    # Returns a function that finds the value with this name.
    getter: Callable[[str], Get]


def _path_value(name: str) -> Get:
    return lambda request: request.scope["path_params"].get(name)


def _query_value(name: str) -> Get:
    return lambda request: request.query_params.get(name) if request.scope["query_string"] else None


def _header_value(name: str) -> Get:
    key = name.lower().encode("latin-1")

    def get(request: Request) -> str | None:
        # As `request.headers` does, which takes longer to make than to read.
        for header, value in request.scope["headers"]:
            if header == key:
                return str(value, "latin-1")
        return None

    return get


def _cookie_value(name: str) -> Get:
    return lambda request: request.cookies.get(name)


PATH = Source(lambda request: request.path_params, _path_value)
QUERY = Source(lambda request: request.query_params, _query_value)
HEADER = Source(lambda request: request.headers, _header_value)
COOKIE = Source(lambda request: request.cookies, _cookie_value)


def readers_of(dependant: Dependant) -> Iterator[tuple[str, Read]]:
    """Yield the name and the reader of each parameter of a function, in the order in which FastAPI reads them."""
    for fields, source in (
        (dependant.path_params, PATH),
        (dependant.query_params, QUERY),
        (dependant.header_params, HEADER),
        (dependant.cookie_params, COOKIE),
    ):
        for field in fields:
            read_as_fastapi = _general_reader(field, source)
            is_plain = _is_plain(field)
            yield field.name, _plain_reader(field, source, read_as_fastapi) if is_plain else read_as_fastapi


def _general_reader(field: Any, source: Source) -> Read:
    """Return a reader for every parameter that FastAPI allows, such as lists and models."""
    fields, name = (field,), field.name

    def read(request: Request, errors: list[Any]) -> Any:
        values, found = request_params_to_args(fields, source.values(request))
        errors += found
        return values.get(name)

    return read


def _plain_reader(field: Any, source: Source, read_as_fastapi: Read) -> Read:
    get, validate = source.getter(field.alias), validator_of(field)
    is_required, default = field.field_info.is_required(), field.field_info.default

    def read(request: Request, errors: list[Any]) -> Any:
        given = get(request)
        if given is None and not is_required:
            return default
        if given is not None:
            try:
                return validate(given, from_attributes=True)
            except ValidationError:
                pass
        # FastAPI words the error.
        return read_as_fastapi(request, errors)

    return read


def validator_of(field: Any) -> Callable[..., Any]:
    """Return the validator of FastAPI's field, without the layers around it if there are only the usual ones."""
    adapter = field._type_adapter  # noqa: SLF001 (its own `validate` calls nothing else)
    validator = adapter.validator
    return validator.validate_python if type(validator) is SchemaValidator else adapter.validate_python


def _is_plain(field: Any) -> bool:
    """Return True for a parameter that is a single value under a single name, with a constant default."""
    info = field.field_info
    if info.validation_alias not in (None, field.alias) or info.validate_default:
        return False
    if info.default_factory is not None or not field.alias.isascii():
        return False
    return _is_scalar(info.annotation) and (info.is_required() or isinstance(info.default, CONSTANTS))


def _is_scalar(annotation: Any) -> bool:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _is_scalar(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return all(map(_is_scalar, get_args(annotation)))
    if not isinstance(annotation, type):
        return annotation is None or origin is Literal
    return annotation in SCALARS or issubclass(annotation, Enum)
