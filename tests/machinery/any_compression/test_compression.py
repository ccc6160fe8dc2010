"""The encoding of responses, depending on the Accept-Encoding of the client."""

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from fastapi import FastAPI, Response
from fastapi.responses import StreamingResponse
from httpx2 import ASGITransport, AsyncClient
from starlette.types import Message, Scope

from app.forge.http.compression import preferred_encoding
from app.main import create_app
from app.settings import Settings

AXES: tuple[str, ...] = ("compression",)

ALL = ("zstd", "br", "gzip")
TEXT = "[" + ",".join(f'"item {number}"' for number in range(500)) + "]"
ENCODED = gzip.compress(TEXT.encode())
ETAG = '"0123"'


async def read_text() -> Response:
    return Response(TEXT, media_type="application/json", headers={"ETag": ETAG})


async def read_small() -> Response:
    return Response("x" * 1_023, media_type="application/json", headers={"ETag": ETAG})


async def read_not_modified() -> Response:
    return Response(status_code=304, headers={"ETag": ETAG})


async def read_part() -> Response:
    return Response("[", 206, {"ETag": ETAG, "Content-Range": "bytes 0-0/9"}, "application/json")


async def read_encoded() -> Response:
    return Response(ENCODED, media_type="application/json", headers={"Content-Encoding": "gzip"})


async def read_events() -> StreamingResponse:
    return StreamingResponse(iter([f"data: {TEXT}\n\n"]), media_type="text/event-stream")


async def read_lines() -> StreamingResponse:
    return StreamingResponse(lines(), media_type="application/x-ndjson")


def lines() -> Iterator[str]:
    yield from (f'{{"number": {number}}}\n' for number in range(3))


class Awaited:
    """A streamed response whose chunks each wait until the previous one has arrived."""

    def __init__(self, media_type: str, accepted: str) -> None:
        self.media_type = media_type
        self.headers = [(b"accept-encoding", accepted.encode())]
        self.has_begun = asyncio.Event()
        self.arrived = asyncio.Event()
        self.text = ""
        self._read: Callable[[bytes], bytes] = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress

    async def chunks(self) -> AsyncIterator[str]:
        await self.has_begun.wait()
        for number in range(3):
            self.arrived.clear()
            yield f"chunk {number}\n"
            await self.arrived.wait()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.has_begun.set()
            if (b"content-encoding", b"gzip") not in message["headers"]:
                self._read = bytes
        elif message["body"]:
            self.text += self._read(message["body"]).decode()
            if self.text.endswith("\n"):
                self.arrived.set()


@pytest.fixture
def app(settings: Settings) -> FastAPI:
    app = FastAPI()
    app.add_api_route("/text", read_text)
    app.add_api_route("/small", read_small)
    app.add_api_route("/not-modified", read_not_modified)
    app.add_api_route("/part", read_part)
    app.add_api_route("/encoded", read_encoded)
    app.add_api_route("/events", read_events)
    app.add_api_route("/lines", read_lines)
    for compression in create_app(settings).innermost:
        app.add_middleware(compression.cls, *compression.args, **compression.kwargs)
    return app


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        yield client


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip", "gzip"),
        ("br", "br"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip, deflate, br", "br"),
        ("gzip;q=1.0, br;q=0.5, zstd;q=0.5", "gzip"),
        ("zstd;q=0.1, br;q=0.9", "br"),
        ("zstd;q=0, *", "br"),
        ("*", "zstd"),
        ("*;q=0.5, gzip", "gzip"),
        ("GZIP ; Q=0.5", "gzip"),
        ("x-gzip", "gzip"),
        ("gzip;q=0.5, identity;q=0.5", "gzip"),
        ("gzip;q=0.5, identity", "identity"),
        ("gzip;q=0", "identity"),
        ("gzip;q=0.000", "identity"),
        ("*;q=0", "identity"),
        ("identity", "identity"),
        ("identity;q=0", "identity"),
        ("identity;q=0, gzip;q=0.1", "gzip"),
        ("deflate", "identity"),
        ("", "identity"),
        (" , ;, ", "identity"),
        ("gzip;q=nan", "identity"),
        ("gzip;q=2", "identity"),
        ("gzip;q=-1", "identity"),
        ("gzip;q=much", "identity"),
        ("gzip;q", "identity"),
    ],
)
def test_the_encoding_that_the_client_prefers_is_chosen(accepted: str, encoding: str) -> None:
    assert preferred_encoding(accepted, ALL) == encoding


def test_only_an_offered_encoding_is_chosen() -> None:
    assert preferred_encoding("zstd, br;q=0.9, gzip;q=0.1", ("gzip",)) == "gzip"
    assert preferred_encoding("zstd, br", ("gzip",)) == "identity"


@pytest.mark.anyio
async def test_a_large_response_is_compressed(client: AsyncClient) -> None:
    response = await client.get("/text", headers={"Accept-Encoding": "gzip"})
    assert response.headers["Content-Encoding"] == "gzip"
    assert response.headers["Vary"] == "Accept-Encoding"
    assert int(response.headers["Content-Length"]) < len(TEXT) / 2
    assert response.text == TEXT


@pytest.mark.anyio
@pytest.mark.parametrize("accepted", ["gzip;q=0", "identity", "deflate", "identity, gzip;q=0.5", ""])
async def test_a_client_that_accepts_no_compression_gets_none(client: AsyncClient, accepted: str) -> None:
    response = await client.get("/text", headers={"Accept-Encoding": accepted})
    assert "Content-Encoding" not in response.headers
    assert response.headers["Vary"] == "Accept-Encoding"
    assert response.headers["ETag"] == ETAG
    assert response.text == TEXT


@pytest.mark.anyio
async def test_several_header_lines_count_as_one(client: AsyncClient) -> None:
    headers = [("Accept-Encoding", "deflate"), ("Accept-Encoding", "gzip")]
    assert (await client.get("/text", headers=headers)).headers["Content-Encoding"] == "gzip"


@pytest.mark.anyio
async def test_a_small_response_is_unchanged(client: AsyncClient) -> None:
    response = await client.get("/small", headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in response.headers
    assert response.headers["ETag"] == ETAG


@pytest.mark.anyio
async def test_the_tag_of_a_compressed_response_is_weak(client: AsyncClient) -> None:
    response = await client.get("/text", headers={"Accept-Encoding": "gzip"})
    assert response.headers["ETag"] == f"W/{ETAG}"


@pytest.mark.anyio
@pytest.mark.parametrize(("path", "status"), [("/not-modified", 304), ("/part", 206)])
async def test_a_partial_response_has_the_vary_header_of_the_whole(
    client: AsyncClient, path: str, status: int
) -> None:
    response = await client.get(path, headers={"Accept-Encoding": "gzip"})
    assert (response.status_code, response.headers["ETag"]) == (status, ETAG)
    assert response.headers["Vary"] == "Accept-Encoding"


@pytest.mark.anyio
async def test_an_encoded_response_is_not_encoded_again(client: AsyncClient) -> None:
    response = await client.get("/encoded", headers={"Accept-Encoding": "gzip"})
    assert response.headers["Content-Encoding"] == "gzip"
    assert response.text == TEXT


@pytest.mark.anyio
async def test_an_event_stream_is_not_compressed(client: AsyncClient) -> None:
    response = await client.get("/events", headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in response.headers


async def answer_to(app: FastAPI, scope: Scope) -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        # A client that has sent everything and stays connected.
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    await app(scope, receive, send)
    return sent


def request_for(path: str) -> Scope:
    headers = [(b"accept-encoding", b"gzip")]
    return {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": headers}


@pytest.mark.anyio
async def test_each_streamed_line_is_sent_at_once(app: FastAPI) -> None:
    decoder = zlib.decompressobj(zlib.MAX_WBITS | 16)
    bodies = [message["body"] for message in await answer_to(app, request_for("/lines")) if "body" in message]
    texts = [decoder.decompress(body).decode() for body in bodies]
    # The beginning of the format may leave before the first line.
    assert [text for text in texts if text] == list(lines())


@pytest.mark.anyio
@pytest.mark.parametrize("accepted", ["gzip", "identity"])
@pytest.mark.parametrize(
    "media_type", ["text/plain", "text/html", "application/json", "application/x-ndjson", "text/event-stream"]
)
async def test_a_streamed_response_is_never_held_back(app: FastAPI, accepted: str, media_type: str) -> None:
    stream = Awaited(media_type, accepted)

    @app.get("/awaited")
    async def read_awaited() -> StreamingResponse:
        return StreamingResponse(stream.chunks(), media_type=media_type)

    async def receive() -> Message:
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    # If anything were held back, it would wait forever.
    async with asyncio.timeout(10):
        await app({**request_for("/awaited"), "headers": stream.headers}, receive, stream.send)
    assert stream.text == "chunk 0\nchunk 1\nchunk 2\n"


@pytest.mark.anyio
@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
async def test_nothing_is_streamed_without_a_body(app: FastAPI, method: str, status: int) -> None:
    async def read_nothing() -> Response:
        return StreamingResponse(iter(()), status)

    app.add_api_route("/nothing", read_nothing, methods=[method])
    sent = await answer_to(app, {**request_for("/nothing"), "method": method})
    assert [message.get("more_body", False) for message in sent] == [False, False]


@pytest.mark.anyio
async def test_outer_middleware_still_knows_the_route(app: FastAPI) -> None:
    request = request_for("/small")
    await answer_to(app, request)
    assert request["route"].path == "/small"
