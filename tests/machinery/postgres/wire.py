"""A proxy port of PostgreSQL that counts the executed statements."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

SSL_REQUEST = 80_877_103
# A simple query, and a prepared statement that is executed.
STATEMENTS = (b"Q", b"E")


class Counter:
    """The statements so far, over all connections."""

    def __init__(self, host: str, port: int) -> None:
        self.statements = 0
        self._server_address = host, port

    async def connect(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        """Forward the data of a connection in both directions."""
        server, forth = await asyncio.open_connection(*self._server_address)
        with suppress(OSError, asyncio.IncompleteReadError):
            await asyncio.gather(self._ask(client, forth), self._answer(server, back))
        back.close()

    async def _ask(self, client: asyncio.StreamReader, server: asyncio.StreamWriter) -> None:
        try:
            is_started = False
            while True:
                kind = await client.readexactly(1) if is_started else b""
                size = await client.readexactly(4)
                message = await client.readexactly(int.from_bytes(size) - 4)
                is_started = is_started or int.from_bytes(message[:4]) != SSL_REQUEST
                self.statements += kind in STATEMENTS
                server.write(kind + size + message)
        finally:
            server.close()

    async def _answer(self, server: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        while data := await server.read(65_536):
            client.write(data)
        client.close()


@asynccontextmanager
async def counting(url: str) -> AsyncIterator[tuple[str, Counter]]:
    """Yield a URL of the same database through a counter, and the counter."""
    parts = urlsplit(url)
    counter = Counter(parts.hostname or "127.0.0.1", parts.port or 5432)
    server = await asyncio.start_server(counter.connect, "127.0.0.1", 0)
    credentials, at, _ = parts.netloc.rpartition("@")
    port = server.sockets[0].getsockname()[1]
    try:
        yield parts._replace(netloc=f"{credentials}{at}127.0.0.1:{port}").geturl(), counter
    finally:
        server.close()
