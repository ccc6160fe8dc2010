"""Routes as the owner of a project adds them; each service under fault has them, as `app/owner.py`."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from secrets import token_hex
from typing import Any

from app.forge.errors import Unavailable
from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import StreamingResponse

GATES = Path(__file__).with_name("gates")
POLL_SECONDS = 0.01

router = APIRouter(prefix="/owner", include_in_schema=False)


async def chunks(name: str) -> AsyncIterator[str]:
    """Yield each chunk when its gate exists."""
    for number in range(3):
        while not (GATES / f"{name}-{number}").exists():  # noqa: ASYNC110 - the test is another process
            await asyncio.sleep(POLL_SECONDS)
        yield f"data: chunk {number}\n\n"


@router.get("/directly/stream/{name}")
async def stream_directly(name: str, media_type: str) -> StreamingResponse:
    """Stream on the fast path."""
    return StreamingResponse(chunks(name), media_type=media_type)


@router.get("/by-fastapi/stream/{name}")
async def stream_by_fastapi(name: str, media_type: str):  # noqa: ANN201 - that is the point
    """Stream on FastAPI's path, which a route without a return type takes."""
    return StreamingResponse(chunks(name), media_type=media_type)


@router.get("/directly/raise/{status}")
async def raise_directly(status: int, detail: str = "null") -> Response:
    """Raise on the fast path."""
    raise HTTPException(status, json.loads(detail), headers={"X-Why": "because"})


@router.get("/by-fastapi/raise/{status}")
def raise_by_fastapi(status: int, detail: str = "null") -> None:
    """Raise on FastAPI's path, in a thread."""
    raise HTTPException(status, json.loads(detail), headers={"X-Why": "because"})


async def cut_off(kind: str) -> AsyncIterator[str]:
    """Yield one chunk, then fail: because of an outage or a bug."""
    yield "begun"
    if kind == "outage":
        raise Unavailable("The database did not respond.") from ConnectionResetError("gone midway")
    raise ValueError("broken midway")


@router.get("/directly/cut-off/{kind}")
async def cut_off_directly(kind: str) -> StreamingResponse:
    """Fail midway on the fast path."""
    return StreamingResponse(cut_off(kind), media_type="text/event-stream")


@router.get("/by-fastapi/cut-off/{kind}")
async def cut_off_by_fastapi(kind: str):  # noqa: ANN201 - that is the point
    """Fail midway on FastAPI's path."""
    return StreamingResponse(cut_off(kind), media_type="text/event-stream")


@router.get("/fresh")
async def read_fresh() -> Response:
    """Set Cache-Control."""
    headers = {"Cache-Control": "max-age=60", "Vary": "X-Tenant"}
    return Response("fresh " * 500, media_type="text/plain", headers=headers)


@router.get("/silent")
async def read_silent(request: Request) -> dict[str, Any]:
    """Leave Cache-Control out."""
    return {"path": request.url.path, "padding": "x" * 2_000}


@router.get("/unique")
async def read_unique(control: str = "max-age=60", status: int = 200) -> Response:
    """Return other bytes each time, with this `Cache-Control`."""
    token = token_hex(8)
    return Response(token, status, headers={"Cache-Control": control, "ETag": f'"{token}"'})


@router.get("/worker")
async def read_worker(seconds: float) -> dict[str, int]:
    """Return, after a while, which process this is."""
    await asyncio.sleep(seconds)
    return {"pid": os.getpid()}


@router.get("/framed")
async def read_framed() -> Response:
    """Set headers that protect browsers in another way than usual."""
    headers = {"Content-Security-Policy": "frame-ancestors 'self'", "X-Frame-Options": "SAMEORIGIN"}
    return Response("<p>framed</p>", media_type="text/html", headers=headers)


@router.get("/seen")
async def read_seen(request: Request) -> dict[str, str]:
    """Return the client as the service sees it."""
    assert request.client is not None
    return {"client": request.client.host, "scheme": request.url.scheme, "host": request.headers["host"]}
