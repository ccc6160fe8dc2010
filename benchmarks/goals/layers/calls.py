"""Calls of ASGI applications without a server, and their CPU time."""

from collections.abc import Mapping
from time import process_time
from typing import Any

from benchmarks.baselines.asgi import App

Message = dict[str, Any]


def scope_of(path: str, headers: Mapping[bytes, bytes], application: object) -> dict[str, Any]:
    """Return the scope of a GET as Uvicorn makes it."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 50_000),
        "scheme": "http",
        "method": "GET",
        "root_path": "",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1"), *headers.items()],
        "state": {},
        "app": application,
    }


async def receive() -> Message:
    """Return an empty body."""
    return {"type": "http.request", "body": b"", "more_body": False}


async def response_of(app: App, scope: dict[str, Any]) -> list[Message]:
    """Return the messages that the application sends."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


async def cpu_us(app: App, scope: dict[str, Any], calls: int) -> float:
    """Return the microseconds of CPU time of a call, on average over this many."""

    async def send(_message: Message) -> None:
        pass

    before = process_time()
    for _ in range(calls):
        # Applications write into the scope.
        await app({**scope, "headers": list(scope["headers"]), "state": {}}, receive, send)
    return 1e6 * (process_time() - before) / calls
