"""The resources of a running service, as its OpenAPI document describes them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastforge_kit.errors import WrongCommandLine
from fastforge_kit.service import Service

DOCUMENT = "/openapi.json"
DRAFT = "Draft"
# What a resource may offer besides single rows and pages.
PARTS = ("batch", "export", "summary")

Schema = Mapping[str, Any]


@dataclass(frozen=True)
class Resource:
    """One resource: the class of its rows, such as "OrderLine", its path, and how to make a row.

    `example` is a valid body for a POST, except for unique values and references. `references` has the class that
    each of these fields refers to, or "" if the document does not name it.
    """

    name: str
    path: str
    example: Mapping[str, Any]
    fields: Mapping[str, Schema]
    references: Mapping[str, str]
    parts: frozenset[str]

    def is_called(self, name: str) -> bool:
        """Return whether this is one of its names: order-lines, order_lines, order_line or OrderLine."""
        return _plain(name) in {_plain(self.name), _plain(self.path.rpartition("/")[2])}


def resources_of(service: Service) -> list[Resource]:
    """Return the resources in the order of the service's document; none if it does not publish one.

    Raises:
        OSError: The service does not respond.
    """
    response = service.request("GET", DOCUMENT)
    return list(resources_in(json.loads(response.body))) if response.status == HTTPStatus.OK else []


def chosen_resource(
    resources: Sequence[Resource], name: str | None, default: str | None = None
) -> Resource | None:
    """Return the resource with this name; without a name the default, else the first one, if there are any.

    Raises:
        WrongCommandLine: None of the resources has this name.
    """
    if name is None:
        return next(
            (each for each in resources if default and each.is_called(default)), next(iter(resources), None)
        )
    for resource in resources:
        if resource.is_called(name):
            return resource
    names = [resource.path.rpartition("/")[2] for resource in resources]
    raise WrongCommandLine(
        f"--resource: the service has no resource {name!r}.",
        f"Choose from: {', '.join(names)}." if names else "Leave --resource out.",
    )


def resources_in(document: Mapping[str, Any]) -> Iterator[Resource]:
    """Yield the resources in an OpenAPI document: the paths whose POST takes a draft with an example."""
    paths = document.get("paths", {})
    schemas = document.get("components", {}).get("schemas", {})
    for path, operations in paths.items():
        name = _body_class(operations.get("post", {})).removesuffix(DRAFT)
        draft = schemas.get(name + DRAFT, {})
        one = next((each for each in paths if each.startswith(f"{path}/{{") and "get" in paths[each]), None)
        if one is None or not draft.get("examples"):
            continue
        row = schemas.get(_response_class(paths[one]["get"]), {}).get("properties", {})
        yield Resource(
            name,
            path,
            draft["examples"][0],
            {field: plain_schema(schema) for field, schema in draft["properties"].items()},
            {field: _class_in(row[field[:-3]]) for field in draft["properties"] if _relation(field) in row},
            frozenset(part for part in PARTS if f"{path}/{part}" in paths),
        )


def plain_schema(schema: Schema) -> Schema:
    """Return the schema of a value that is not null."""
    options = [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]
    return {**options[0], "optional": True} if options else schema


def _relation(field: str) -> str:
    return field[:-3] if field.endswith("_id") else ""


def _body_class(operation: Schema) -> str:
    return _class_in(_json_schema(operation.get("requestBody", {})))


def _response_class(operation: Schema) -> str:
    return _class_in(_json_schema(operation.get("responses", {}).get("200", {})))


def _json_schema(described: Schema) -> Schema:
    schema: Schema = described.get("content", {}).get("application/json", {}).get("schema", {})
    return schema


def _class_in(schema: Schema) -> str:
    return str(plain_schema(schema).get("$ref", "")).rpartition("/")[2]


def _plain(name: str) -> str:
    return name.replace("-", "").replace("_", "").lower()
