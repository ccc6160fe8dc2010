"""The baseline of any response: an ASGI callable that returns constant bytes of an item's size."""

import asyncio
import json

from benchmarks.baselines.asgi import Receive, Scope, Send, lifespan, respond

BODY = json.dumps(
    {
        "id": "01890a5d-ac96-774b-bcce-b302099a8057",
        "name": "0123456789abcdef0123456789abcdef seed 1",
        "description": "A sturdy thing of the usual size, delivered within a week.",
        "price_cents": 12_900,
        "tags": ["garden", "steel"],
        "created_at": "2026-11-20T19:00:00.000Z",
        "updated_at": "2026-11-20T19:00:00.000Z",
    }
).encode()


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Respond to everything with the same bytes."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send, asyncio.sleep(0))
        return
    await respond(send, BODY)
