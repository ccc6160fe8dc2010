"""Additions to FastAPI's OpenAPI document: readable operation names, headers and problem details.

They are added to all routes, including your own, when the document is first requested. They are not parameters of
endpoints, because a route that reads a header through FastAPI does not take the fast path.
"""

import json
import re
from collections.abc import Collection, Iterator, Sequence
from copy import deepcopy
from typing import Any

from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from pydantic import TypeAdapter
from starlette.routing import BaseRoute

from app.forge.bodies import INLINE
from app.forge.http.problems import INVALID, Problem

Document = dict[str, Any]

NULL = {"type": "null"}
# The host that serves the document.
HERE = {"url": "/"}

# Headers of every response, and headers that only some services send. Routes declare others in `responses`.
EVERYWHERE = ("X-Request-ID", "Server-Timing", "Cache-Control")
OPTIONAL = {"X-Cache"}
HEADERS: Document = {
    "X-Request-ID": {
        "description": "The id of the request in the service's log.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$"},
    },
    "Server-Timing": {
        "description": "The time that the service took, in milliseconds: `app;dur=1.234`.",
        "schema": {"type": "string"},
    },
    "Cache-Control": {
        "description": "The rules for caches. With `no-cache`, they may store the response, and must revalidate it.",
        "schema": {"type": "string"},
    },
    "ETag": {
        "description": "The version of the returned document, for `If-None-Match` and `If-Match`.",
        "schema": {"type": "string"},
    },
    "Location": {
        "description": "The URL of the created row.",
        "schema": {"type": "string", "format": "uri-reference"},
    },
    "Retry-After": {
        "description": "The number of seconds after which the client may retry.",
        "schema": {"type": "integer"},
    },
    "X-Cache": {
        "description": "The result of the lookup in the service's cache.",
        "schema": {"type": "string", "enum": ["hit", "miss"]},
    },
}
PARAMETERS: Document = {
    "X-Request-ID": {
        "name": "X-Request-ID",
        "in": "header",
        "description": "An id for the request. Unless it matches `[A-Za-z0-9._-]{1,128}`, the service generates one.",
        "schema": {"type": "string"},
    },
    "If-None-Match": {
        "name": "If-None-Match",
        "in": "header",
        "description": "Entity tags that the client has. If one is current, the response is 304 without a body.",
        "schema": {"type": "string"},
    },
    "If-Match": {
        "name": "If-Match",
        "in": "header",
        "description": "The entity tag of the version to change. If it is not current, the response is 412.",
        "schema": {"type": "string"},
    },
}
# The request headers that lead to a status.
HEADER_OF_STATUS = {"304": "If-None-Match", "412": "If-Match"}


def complete(document: Document, routes: Sequence[BaseRoute], optional_headers: Collection[str]) -> None:
    """Complete FastAPI's document in place. It describes optional headers only if they are in `optional_headers`."""
    document.setdefault("servers", [HERE])
    # No credentials are required, unless an operation declares them.
    document.setdefault("security", [])
    _put_inline(document)
    name_operations(document, routes)
    tags = document.setdefault("tags", [])
    known = {tag["name"] for tag in tags}
    for operation in _operations(document):
        for tag in operation.get("tags", ()):
            if tag not in known:
                known.add(tag)
                tags.append({"name": tag})
        _correct_queries(operation)
        _correct_invalid_request(operation)
        operation["responses"] = dict(sorted(operation["responses"].items()))
        _add_parameters(operation)
        _add_headers(operation, optional_headers)
    _add_components(document)


def name_operations(document: Document, routes: Sequence[BaseRoute]) -> None:
    """Name each operation after its function. If names collide, the later one also has the path and method.

    An `operation_id` of a route takes precedence.
    """
    contexts = {
        (context.path_format, method): context
        for context in iter_route_contexts(routes)
        if isinstance(context.original_route, APIRoute) and context.include_in_schema
        for method in sorted(context.methods or ())
    }
    taken: set[str] = set()
    for (path, method), context in sorted(contexts.items(), key=lambda each: not each[1].operation_id):
        operation_id = next(name for name in _names(context, path or "", method) if name not in taken)
        taken.add(operation_id)
        document["paths"][path][method.lower()]["operationId"] = operation_id


def _names(context: RouteContext, path: str, method: str) -> Iterator[str]:
    if context.operation_id:
        yield context.operation_id
    name = str(context.name)
    if name.isidentifier():
        yield name
    qualified = re.sub(r"\W+", "_", f"{name}{path}_{method.lower()}").strip("_")
    yield qualified
    number = 2
    while True:
        yield f"{qualified}_{number}"
        number += 1


def _put_inline(document: Document) -> None:
    schemas = document.get("components", {}).get("schemas", {})
    names = [name for name, schema in schemas.items() if INLINE in schema]
    inline = {f"#/components/schemas/{name}": _unnamed(schemas.pop(name)) for name in names}
    waiting: list[Any] = [document] if inline else []
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if part.get("$ref") in inline:
                part.update(deepcopy(inline[part.pop("$ref")]))
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part


def _unnamed(schema: Document) -> Document:
    return {key: value for key, value in schema.items() if key not in ("title", INLINE)}


def _operations(document: Document) -> Iterator[Document]:
    methods = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
    for path in document["paths"].values():
        yield from (path[method] for method in methods if method in path)


def _correct_queries(operation: Document) -> None:
    """Remove null from the schemas of query parameters, because clients leave a parameter out instead."""
    for parameter in operation.get("parameters", ()):
        schema = parameter.get("schema", {})
        kinds = schema.get("anyOf", ())
        if NULL in kinds and "default" not in schema:
            rest = [kind for kind in kinds if kind != NULL]
            del schema["anyOf"]
            parameter["schema"] = (rest[0] if len(rest) == 1 else {"anyOf": rest}) | schema


def _correct_invalid_request(operation: Document) -> None:
    """Replace FastAPI's own 422, because the service responds with problem details."""
    content = operation["responses"].get("422", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    if schema.get("$ref") == "#/components/schemas/HTTPValidationError":
        operation["responses"]["422"] = deepcopy(INVALID[422])


def _add_parameters(operation: Document) -> None:
    given = operation.get("parameters", [])
    stated = {each["name"].lower() for each in given if each.get("in") == "header"}
    names = [name for status, name in HEADER_OF_STATUS.items() if status in operation["responses"]]
    added = [name for name in (*names, "X-Request-ID") if name.lower() not in stated]
    operation["parameters"] = [*given, *({"$ref": f"#/components/parameters/{name}"} for name in added)]


def _add_headers(operation: Document, optional_headers: Collection[str]) -> None:
    for response in operation["responses"].values():
        if "$ref" in response:
            continue
        headers = response.setdefault("headers", {})
        for name in OPTIONAL - set(optional_headers):
            headers.pop(name, None)
        for name in EVERYWHERE:
            headers.setdefault(name, {"$ref": f"#/components/headers/{name}"})


def _add_components(document: Document) -> None:
    """Add the components that are referred to, and drop those that FastAPI added for its own 422."""
    components = document.setdefault("components", {})
    text = json.dumps(document)
    for kind, each in (("headers", HEADERS), ("parameters", PARAMETERS)):
        used = {name: value for name, value in each.items() if f'"#/components/{kind}/{name}"' in text}
        components[kind] = used | components.get(kind, {})
    schemas = components.setdefault("schemas", {})
    if '"#/components/schemas/HTTPValidationError"' not in text:
        schemas.pop("HTTPValidationError", None)
        schemas.pop("ValidationError", None)
    problem = TypeAdapter(Problem).json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs"), Problem=problem)
