"""Responses of resources: documents with entity tags, 304, and streams."""

from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any
from uuid import UUID

from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from app.forge.http.caching import NO_CACHE, is_known
from app.forge.http.problems import Responses
from app.forge.http.routing import url_path
from app.forge.store import Document

JSON = "application/json"
NDJSON = "application/x-ndjson"


def _sends(*names: str) -> dict[str, Any]:
    """Return the OpenAPI description of a response with these headers; `app.forge.http.openapi` defines them."""
    return {"headers": {name: {"$ref": f"#/components/headers/{name}"} for name in names}}


# The `responses` of routes that return documents. A single row may come from the cache.
CREATED: Responses = {201: _sends("ETag", "Location")}
CHANGED: Responses = {200: _sends("ETag")}
NOT_MODIFIED: Responses = {200: _sends("ETag"), 304: _sends("ETag")}
READ: Responses = {200: _sends("ETag", "X-Cache"), 304: _sends("ETag", "X-Cache")}


def lines_of(model: type[BaseModel]) -> Responses:
    """Return the `responses` of a route that streams rows of this model."""
    lines = {"type": "array", "items": {"$ref": f"#/components/schemas/{model.__name__}"}}
    schema = {"type": "string", "contentMediaType": NDJSON, "contentSchema": lines}
    return {200: {"content": {NDJSON: {"schema": schema}}}}


class DocumentResponse(Response):
    """A document with its entity tag, or 304. Encoded headers cost a fifth of a dict of headers."""

    media_type = JSON

    def __init__(self, document: Document, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.status_code = status
        self.background = None
        headers = [NO_CACHE, (b"etag", document.etag.encode()), *document.headers]
        if status == HTTPStatus.NOT_MODIFIED:
            self.body = b""
        else:
            self.body = document.body
            headers += [(b"content-length", b"%d" % len(document.body)), (b"content-type", JSON.encode())]
        self.raw_headers = headers


def conditional(document: Document, request: Request) -> DocumentResponse:
    """Return the document, or 304 if the client's `If-None-Match` names its entity tag."""
    if is_known(request.scope, document.etag):
        return DocumentResponse(document, HTTPStatus.NOT_MODIFIED)
    return DocumentResponse(document)


def created(document: Document, row_id: UUID, request: Request) -> DocumentResponse:
    """Return 201 with the document, and its URL as `Location`."""
    response = DocumentResponse(document, HTTPStatus.CREATED)
    response.raw_headers.append((b"location", f"{url_path(request)}/{row_id}".encode()))
    return response


async def streamed(lines: AsyncIterator[bytes]) -> StreamingResponse:
    """Stream the lines as they are read. The first is awaited, so a database that is down still results in 503."""
    first = await anext(lines, b"")
    return StreamingResponse(_resumed(first, lines), media_type=NDJSON)


async def _resumed(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk


def if_match(request: Request) -> str | None:
    """Return the header `If-Match`. The change is made only if it names the row's current entity tag."""
    # Several headers of this name are one list (RFC 9110, section 5.3).
    given = [value for name, value in request.scope["headers"] if name == b"if-match"]
    return b", ".join(given).decode("latin-1") if given else None


def expansions(expand: str | None) -> tuple[str, ...]:
    """Return the relations in the query parameter `expand`, without duplicates."""
    return tuple(dict.fromkeys(expand.split(","))) if expand else ()
