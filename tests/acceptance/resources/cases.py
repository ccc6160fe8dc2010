"""Parameters of tests from a list of resources, named after the resource and the field."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from tests.acceptance.resources import values
from tests.acceptance.resources.grammar import ENDPOINTS, Field, Resource
from tests.acceptance.resources.values import Json, MakeValue


@dataclass(frozen=True)
class FieldCase:
    """A field of a resource."""

    resource: Resource
    field: Field

    def __str__(self) -> str:
        return f"{self.resource.plural}.{self.field.name}"


@dataclass(frozen=True)
class WrongCase(FieldCase):
    """A value that the field cannot have."""

    words: str
    value: Json

    def __str__(self) -> str:
        return f"{super().__str__()}: {self.words}"


@dataclass(frozen=True)
class LimitCase(FieldCase):
    """A value that the field can just have."""

    words: str
    make: MakeValue

    def __str__(self) -> str:
        return f"{super().__str__()}: {self.words}"


@dataclass(frozen=True)
class FieldsCase:
    """Several fields of a resource."""

    resource: Resource
    fields: tuple[Field, ...]

    def __str__(self) -> str:
        return f"{self.resource.plural}.{'+'.join(field.name for field in self.fields)}"


@dataclass(frozen=True)
class EndpointCase:
    """An endpoint that a resource may have or not."""

    resource: Resource
    endpoint: str

    def __str__(self) -> str:
        return f"{self.resource.plural}/{self.endpoint}"


Case = Resource | FieldCase | FieldsCase | EndpointCase
MakeCases = Callable[[Sequence[Resource]], Iterator[Case]]


def _fields(accepts: Callable[[Field], bool]) -> MakeCases:
    def cases(resources: Sequence[Resource]) -> Iterator[Case]:
        for resource in resources:
            yield from (FieldCase(resource, field) for field in resource.fields if accepts(field))

    return cases


def _resources(accepts: Callable[[Resource], bool]) -> MakeCases:
    return lambda resources: (resource for resource in resources if accepts(resource))


def _wrong(resources: Sequence[Resource]) -> Iterator[Case]:
    for resource in resources:
        for field in resource.fields:
            for words, value in values.wrong(field).items():
                yield WrongCase(resource, field, words, value)


def _limits(resources: Sequence[Resource]) -> Iterator[Case]:
    for resource in resources:
        for field in resource.fields:
            for words, make in values.at_limits(field).items():
                yield LimitCase(resource, field, words, make)


def _filter_pairs(resources: Sequence[Resource]) -> Iterator[Case]:
    for resource in resources:
        yield from (FieldsCase(resource, pair) for pair in combinations(resource.filters, 2))


def _left_out(resources: Sequence[Resource]) -> Iterator[Case]:
    for resource in resources:
        yield from (EndpointCase(resource, each) for each in ENDPOINTS if not resource.has(each))


def _owned_references(resources: Sequence[Resource]) -> Iterator[Case]:
    owned = {each.plural for each in resources if each.is_owned}
    return _fields(lambda field: field.kind == "ref" and field.of in owned)(resources)


# By the name of the argument with which a test asks for them.
CASES: dict[str, MakeCases] = {
    "resource": _resources(lambda _: True),
    "with_batch": _resources(lambda each: each.has("batch")),
    "with_export": _resources(lambda each: each.has("export")),
    "with_summary": _resources(lambda each: each.has("summary")),
    "owned": _resources(lambda each: each.is_owned),
    "owned_reference": _owned_references,
    "with_filters": _resources(lambda each: bool(each.filters)),
    "with_references": _resources(lambda each: bool(each.references)),
    "with_batch_and_unique": _resources(lambda each: each.has("batch") and bool(each.unique)),
    "any_field": _fields(lambda _: True),
    "optional_field": _fields(lambda field: field.is_optional),
    "required_field": _fields(lambda field: field.is_required),
    # Null is a JSON value.
    "not_null_field": _fields(lambda field: not field.is_optional and field.kind != "json"),
    "unique_field": _fields(lambda field: field.is_unique),
    "filter_field": _fields(lambda field: field.is_filter),
    "reference": _fields(lambda field: field.kind == "ref"),
    "restricted": _fields(lambda field: field.kind == "ref" and field.on_delete == "restrict"),
    "cascaded": _fields(lambda field: field.kind == "ref" and field.on_delete == "cascade"),
    "nulled": _fields(lambda field: field.kind == "ref" and field.on_delete == "null"),
    "wrong": _wrong,
    "at_limit": _limits,
    "filter_pair": _filter_pairs,
    "left_out": _left_out,
}
