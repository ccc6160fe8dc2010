"""Fetches a JSON document over HTTP: in time, of bounded size, without redirects, and without a thread."""

import asyncio
import json
import ssl
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import httptools

MAX_BYTES = 1_000_000
CHUNK_BYTES = 65_536


class FetchFailed(Exception):
    """The document could not be fetched; the message says why."""


def tls_context() -> ssl.SSLContext:
    """Return what checks certificates by the authorities of this machine. Reading them takes a while."""
    return ssl.create_default_context()


async def fetch_json(url: str, tls: ssl.SSLContext, timeout_seconds: float) -> dict[str, Any]:
    """Return the JSON object at the URL, or raise `FetchFailed`."""
    try:
        async with asyncio.timeout(timeout_seconds):
            body = await _fetch(url, tls)
        document = json.loads(body)
    except TimeoutError:
        raise FetchFailed(f"{url} did not respond within {timeout_seconds:g} s.") from None
    except (OSError, httptools.HttpParserError) as error:
        raise FetchFailed(f"{url} could not be read: {type(error).__name__}: {error}") from None
    except (ValueError, RecursionError):
        raise FetchFailed(f"{url} did not respond with JSON.") from None
    if not isinstance(document, dict):
        raise FetchFailed(f"{url} did not respond with a JSON object.")
    return document


async def _fetch(url: str, tls: ssl.SSLContext) -> bytes:
    parts = urlsplit(url)
    is_tls = parts.scheme == "https"
    port = parts.port or (443 if is_tls else 80)
    host = parts.hostname or ""
    reader, writer = await asyncio.open_connection(host, port, ssl=tls if is_tls else None)
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        lines = [
            f"GET {path} HTTP/1.1",
            f"Host: {parts.netloc}",
            "Accept: application/json",
            "Connection: close",
        ]
        writer.write("".join(f"{line}\r\n" for line in [*lines, ""]).encode("ascii"))
        response = _Response()
        await response.read(reader)
    finally:
        writer.close()
        with suppress(OSError):
            # A server that does not end the connection must not hold up the caller.
            writer.transport.abort()
    if response.status != 200:
        raise FetchFailed(f"{url} responded with the status {response.status}.")
    return bytes(response.body)


class _Response:
    """A response as it is parsed."""

    def __init__(self) -> None:
        self.body = bytearray()
        self.status = 0
        self._is_complete = False
        self._parser = httptools.HttpResponseParser(self)

    async def read(self, reader: asyncio.StreamReader) -> None:
        """Read to the end of the response, or of the connection."""
        read_bytes = 0
        while not self._is_complete:
            chunk = await reader.read(CHUNK_BYTES)
            if not chunk:
                return
            read_bytes += len(chunk)
            if read_bytes > MAX_BYTES:
                raise FetchFailed(f"The response has more than {MAX_BYTES} bytes.")
            self._parser.feed_data(chunk)

    def on_headers_complete(self) -> None:
        """Note the status."""
        self.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body."""
        self.body += body

    def on_message_complete(self) -> None:
        """Note the end."""
        self._is_complete = True
