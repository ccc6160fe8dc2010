"""zstd, brotli or gzip, whichever the client likes best."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Protocol

from starlette.types import ASGIApp
from starlette_compress import CompressMiddleware, add_compress_type, remove_compress_type

from app.forge.http.compression.accept_encoding import AcceptEncodingMiddleware
from app.forge.http.compression.streams import UnheldStreams

# Where the client does not care: from the quickest for its size to the slowest.
OFFERED = ("zstd", "br", "gzip")

# Less is not worth the time and the header.
MINIMUM_BYTES = 1_024


class Encoder(Protocol):
    """What makes the chunks of a streamed answer smaller."""

    def feed(self, data: bytes, flush: bool) -> Iterable[bytes]:
        """Return what there is to send; all of it with `flush`."""

    def finish(self) -> Iterable[bytes]:
        """Return the rest."""


class _FlushingEncoder:
    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    def feed(self, data: bytes, flush: bool) -> Iterable[bytes]:  # noqa: ARG002 - this is what it is for
        return self._encoder.feed(data, True)

    def finish(self) -> Iterable[bytes]:
        return self._encoder.finish()


def _flushing(create_encoder: Callable[[int], Encoder], content_length: int) -> Encoder:
    return _FlushingEncoder(create_encoder(content_length))


class FlushingCompressMiddleware(CompressMiddleware):
    """Sends every chunk of a streamed answer at once; the library does so for types that are named to it only."""

    def __init__(self, app: ASGIApp, **options: Any) -> None:
        super().__init__(app, **options)
        for responder in (self._zstd, self._brotli, self._gzip):
            if responder is not None:
                responder.create_encoder = partial(_flushing, responder.create_encoder)


class CompressionMiddleware(AcceptEncodingMiddleware):
    """Compresses answers; streamed ones chunk by chunk, so that each arrives when it is sent."""

    def __init__(self, app: ASGIApp) -> None:
        add_compress_type("application/problem+json")
        add_compress_type("application/x-ndjson")
        # Small, and each to be seen at once.
        remove_compress_type("text/event-stream")
        # 100 KB of JSON take 0.4 ms at these levels of zstd and brotli, 1.5 ms at this one of gzip; brotli's level
        # 4 takes four times as long.
        compress = FlushingCompressMiddleware(
            UnheldStreams(app), minimum_size=MINIMUM_BYTES, zstd_level=3, brotli_quality=1, gzip_level=4
        )
        super().__init__(compress, OFFERED)
