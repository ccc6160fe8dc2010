"""gzip compression, for clients that accept it."""

from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp

from app.forge.http.compression import MINIMUM_BYTES, AcceptEncodingMiddleware, UnheldStreams

OFFERED = ("gzip",)


class CompressionMiddleware(AcceptEncodingMiddleware):
    """Compresses responses. Streams are compressed chunk by chunk, so each chunk arrives when it is sent."""

    def __init__(self, app: ASGIApp) -> None:
        # 100 KB of JSON take 1.5 ms at level 4, and 6.4 ms at Starlette's default of 9.
        compress = GZipMiddleware(UnheldStreams(app), minimum_size=MINIMUM_BYTES, compresslevel=4)
        super().__init__(compress, OFFERED)
