"""`python -m benchmarks.goals.layers.compression ROUNDS [NAME ...]`: 100 KB of JSON, compressed.

Prints the CPU time of each round, interleaved with the bare compressor at the same level on the same bytes
and with gzip; NAME selects (layer, bare, gzip 9). Raises `SystemExit` if the bytes differ, or if a streamed
body is held back.
"""

import asyncio
import json
import random
import sys
import zlib
from collections.abc import Callable
from time import process_time

from app.forge.http.compression_negotiated import CompressionMiddleware
from zstandard import ZstdCompressor, ZstdDecompressor

from benchmarks.baselines.asgi import Receive, Scope, Send, respond
from benchmarks.goals.layers.calls import Message, cpu_us, receive, response_of, scope_of

BODY_BYTES = 100_000
LEVEL = 3
CALLS = 50
GZIP_WBITS = 31
SCOPE = scope_of("/", {b"accept-encoding": b"gzip, deflate, br, zstd"}, None)


def _body() -> bytes:
    """Return JSON of items that differ as much as real ones."""
    choose = random.Random(1)  # noqa: S311
    words = ["garden", "steel", "sturdy", "delivered", "within", "week", "usual", "size", "thing", "blue"]
    items: list[dict[str, object]] = []
    while sum(map(len, map(str, items))) < BODY_BYTES:
        items.append(
            {
                "id": f"{choose.getrandbits(128):032x}",
                "name": f"{choose.choice(words)} {choose.getrandbits(64):x}",
                "description": " ".join(choose.choices(words, k=12)),
                "price_cents": choose.randrange(1_000_000),
                "tags": choose.sample(words, 3),
            }
        )
    return json.dumps({"items": items}).encode()[: BODY_BYTES - 2] + b"]}"


BODY = _body()
CHUNKS = [BODY[start : start + 10_000] for start in range(0, len(BODY), 10_000)]


async def send_body(_scope: Scope, _receive: Receive, send: Send) -> None:
    """Respond with 100 KB at once."""
    await respond(send, BODY)


async def send_chunks(_scope: Scope, _receive: Receive, send: Send) -> None:
    """Stream them, as an export does."""
    headers = [(b"content-type", b"application/x-ndjson")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for chunk in CHUNKS:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _compare_bytes() -> None:
    sent = await response_of(CompressionMiddleware(send_body), dict(SCOPE))
    if (b"content-encoding", b"zstd") not in sent[0]["headers"]:
        raise SystemExit("A response of 100 KB is not compressed with zstd.")
    if b"".join(message["body"] for message in sent[1:]) != ZstdCompressor(level=LEVEL).compress(BODY):
        raise SystemExit(f"The response differs from the output of the bare compressor at level {LEVEL}.")


async def _see_chunks_arrive() -> None:
    decompressor, arrived = ZstdDecompressor().decompressobj(), b""
    given: list[bytes] = []

    async def send(message: Message) -> None:
        nonlocal arrived
        arrived += decompressor.decompress(message.get("body", b"")) if message.get("body") else b""

    async def stream(scope: Scope, receive: Receive, send_compressed: Send) -> None:
        async def send_and_look(message: Message) -> None:
            await send_compressed(message)
            given.append(message.get("body", b""))
            if arrived != b"".join(given):
                raise SystemExit("A streamed body is held back: a chunk was sent and did not arrive.")

        await send_chunks(scope, receive, send_and_look)

    await CompressionMiddleware(stream)(dict(SCOPE), receive, send)


LAYER, COMPRESSOR = CompressionMiddleware(send_body), ZstdCompressor(level=LEVEL)


async def _layer_us() -> float:
    return await cpu_us(LAYER, SCOPE, CALLS)


async def _bare_us() -> float:
    return _us(COMPRESSOR.compress)


async def _gzip_us() -> float:
    return _us(lambda body: zlib.compress(body, 9, GZIP_WBITS))


def _us(compress: Callable[[bytes], bytes]) -> float:
    before = process_time()
    for _ in range(CALLS):
        compress(BODY)
    return 1e6 * (process_time() - before) / CALLS


MEASURED = {"layer": _layer_us, "bare": _bare_us, "gzip 9": _gzip_us}


async def main() -> None:
    """Check, measure and print."""
    await _compare_bytes()
    await _see_chunks_arrive()
    rounds, *names = sys.argv[1:]
    measured = {name: MEASURED[name] for name in names or MEASURED}
    shown: dict[str, list[float]] = {name: [] for name in measured}
    for number in range(-1, int(rounds)):
        for name, measure in measured.items():
            figure = await measure()
            # The first round warms up.
            shown[name] += [figure] if number >= 0 else []
    print(json.dumps(shown))


if __name__ == "__main__":
    asyncio.run(main())
