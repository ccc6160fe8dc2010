"""The HTTP interface of items.

Routes return ready bytes: the response models document them, and the serializer or the store made them.
"""

from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Body, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import Field

from app.forge.http.caching import NO_CACHE, is_known
from app.items.documents import ItemDocument, item_document
from app.items.models import BatchCreated, Item, ItemChanges, ItemDraft, ItemPage, ItemSummary, Tag
from app.items.service import ItemService
from app.forge.http.problems import CONTENT_TOO_LARGE, problems
from app.forge.http.routing import url_path

BATCH_MAX_ITEMS = 1_000
JSON = "application/json"
NDJSON = "application/x-ndjson"

BAD_BODY = problems(HTTPStatus.BAD_REQUEST, CONTENT_TOO_LARGE)
NOT_FOUND = problems(HTTPStatus.NOT_FOUND)
NOT_MODIFIED: dict[int | str, dict[str, Any]] = {304: {"description": "Not Modified"}}
NAME_TAKEN = problems(HTTPStatus.CONFLICT)

router = APIRouter(
    prefix="/api/v1/items",
    tags=["items"],
    responses=problems(HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE),
)


def item_service(request: Request) -> ItemService:
    """Return the service that the lifespan opened."""
    service: ItemService = request.state.items
    return service


class ItemResponse(Response):
    """A document with its entity tag, or 304. Headers that are bytes already cost a fifth of what a dict does."""

    media_type = JSON

    def __init__(self, document: ItemDocument, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.status_code = status
        self.background = None
        headers = [NO_CACHE, (b"etag", document.etag.encode()), *document.headers]
        if status == HTTPStatus.NOT_MODIFIED:
            self.body = b""
        else:
            self.body = document.body
            headers += [(b"content-length", b"%d" % len(document.body)), (b"content-type", JSON.encode())]
        self.raw_headers = headers


def _unless_known(request: Request, document: ItemDocument) -> ItemResponse:
    """Return the document, or 304 if the client has it already."""
    if is_known(request.scope, document.etag):
        return ItemResponse(document, HTTPStatus.NOT_MODIFIED)
    return ItemResponse(document)


@router.post("", status_code=HTTPStatus.CREATED, response_model=Item, responses=BAD_BODY | NAME_TAKEN)
async def create_item(draft: ItemDraft, request: Request) -> Response:
    """Create an item. Its name must not be taken."""
    item_id, document = await item_service(request).create(draft)
    response = ItemResponse(document, HTTPStatus.CREATED)
    response.headers["Location"] = f"{url_path(request)}/{item_id}"
    return response


@router.post(
    "/batch", status_code=HTTPStatus.CREATED, response_model=BatchCreated, responses=BAD_BODY | NAME_TAKEN
)
async def create_items(
    drafts: Annotated[list[ItemDraft], Body(), Field(min_length=1, max_length=BATCH_MAX_ITEMS)],
    request: Request,
) -> Response:
    """Create up to 1,000 items at once: all of them, or none where one is invalid or a name is taken."""
    created = BatchCreated(created=await item_service(request).create_many(drafts))
    return Response(created.model_dump_json(), HTTPStatus.CREATED, media_type=JSON)


@router.get("", response_model=ItemPage, responses=NOT_MODIFIED)
async def list_items(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    after: Annotated[UUID | None, Query(description="The `next` of the page before.")] = None,
    tag: Annotated[Tag | None, Query(description="Only items with this tag.")] = None,
) -> Response:
    """Return items, newest first, or 304 if `If-None-Match` names the page's entity tag."""
    return _unless_known(request, item_document(await item_service(request).page(limit, after, tag)))


@router.get(
    "/export",
    response_class=StreamingResponse,
    responses={200: {"content": {NDJSON: {"schema": {"type": "string"}}}}},
)
async def export_items(request: Request) -> StreamingResponse:
    """Return every item, one JSON document a line."""
    lines = item_service(request).export()
    # The first chunk is awaited here, so that a database that is down still answers 503.
    first = await anext(lines, b"")
    return StreamingResponse(_resumed(first, lines), media_type=NDJSON)


async def _resumed(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk


@router.get("/summary", response_model=ItemSummary)
async def summarize_items(request: Request) -> ItemSummary:
    """Return all items in figures."""
    return await item_service(request).summary()


@router.get("/{item_id}", response_model=Item, responses=NOT_FOUND | NOT_MODIFIED)
async def read_item(item_id: UUID, request: Request) -> Response:
    """Return one item, or 304 if `If-None-Match` names its entity tag."""
    return _unless_known(request, await item_service(request).get(item_id))


@router.patch("/{item_id}", response_model=Item, responses=BAD_BODY | NOT_FOUND | NAME_TAKEN)
async def change_item(item_id: UUID, changes: ItemChanges, request: Request) -> Response:
    """Change the given fields of an item."""
    return ItemResponse(await item_service(request).change(item_id, changes))


@router.delete("/{item_id}", status_code=HTTPStatus.NO_CONTENT, responses=NOT_FOUND)
async def remove_item(item_id: UUID, request: Request) -> Response:
    """Remove an item."""
    await item_service(request).remove(item_id)
    return Response(status_code=HTTPStatus.NO_CONTENT)
