"""One connection to Redis, shared by all requests of a worker.

Commands are pipelined: sent as they arrive and matched with replies in order. redis-py's client takes a connection
from its pool for each command, at twice the CPU time. If the connection fails, all waiting requests fail at once.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from app.forge.cache.redis_url import connection_options

# A reply times out after two of these intervals, or three in the worst case.
LOOK_SECONDS = 0.1
CONNECT_SECONDS = 1.0


@asynccontextmanager
async def open_connection(url: str) -> AsyncIterator["RedisConnection"]:
    """Yield an open connection. Raises `RedisError`, `OSError` or `ValueError` if it cannot be opened."""
    # Protocol version 2 needs no handshake, and without `driver_info` the first command can be sent at once.
    # The driver's own timeouts would cost a task or a timer per command.
    pool = ConnectionPool(
        **connection_options(url),
        protocol=2,
        driver_info=None,
        socket_timeout=None,
        socket_connect_timeout=CONNECT_SECONDS,
    )
    connection = pool.make_connection()  # type: ignore[no-untyped-call]
    try:
        await _connect(connection)
        shared = RedisConnection(connection)
        try:
            yield shared
        finally:
            await shared.close()
    finally:
        await connection.disconnect(nowait=True)


async def _connect(connection: AbstractConnection) -> None:
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            await connection.connect()  # type: ignore[no-untyped-call]
    except TimeoutError as error:
        message = f"No connection within {CONNECT_SECONDS:g} s. Do the URL and the server agree on TLS?"
        raise RedisTimeoutError(message) from error


class RedisConnection:
    """An open connection. After its first failure it stays failed."""

    def __init__(self, connection: AbstractConnection) -> None:
        self._connection = connection
        self._replies: deque[asyncio.Future[Any]] = deque()
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._watch())]

    async def execute(self, *command: bytes | str | int) -> Any:
        """Return the reply to the command, or raise `RedisError`."""
        if self._failure.done():
            raise RedisConnectionError("The connection has failed.")
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._replies.append(reply)
        try:
            await self._connection.send_command(*command, check_health=False)
        except RedisError as error:
            self.fail(error)
            raise
        except Exception as error:
            # uvloop raises `RuntimeError` if the connection has been closed.
            failure = RedisConnectionError(f"The command cannot be sent: {type(error).__name__}: {error}")
            self.fail(failure)
            raise failure from error
        return await reply

    async def wait_for_failure(self, timeout_seconds: float | None = None) -> None:
        """Raise the error of the connection when it fails, or return after the timeout."""
        await asyncio.wait([self._failure], timeout=timeout_seconds)
        if self._failure.done():
            self._failure.result()

    def fail(self, error: RedisError) -> None:
        """Raise the error in every waiting request and in `wait_for_failure`."""
        if self._failure.done():
            return
        for reply in (self._failure, *self._replies):
            if not reply.done():
                reply.set_exception(error)
                reply.exception()  # Marks it as retrieved: without waiters, asyncio would log a warning.

    async def close(self) -> None:
        """Fail all waiting requests and stop the tasks."""
        self.fail(RedisConnectionError("The connection is closed."))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _read(self) -> None:
        try:
            while True:
                await self._read_one()
        except RedisError as error:
            self.fail(error)
        except Exception as error:
            # After an unreadable reply, later replies cannot be matched with their commands.
            self.fail(RedisConnectionError(f"The reply cannot be read: {type(error).__name__}"))

    async def _read_one(self) -> None:
        try:
            result, refusal = await self._connection.read_response(), None
        except ResponseError as error:
            result, refusal = None, error
        reply = self._replies.popleft()
        if reply.done():
            return  # The waiting request was cancelled.
        if refusal is None:
            reply.set_result(result)
        else:
            reply.set_exception(refusal)
            reply.exception()

    async def _watch(self) -> None:
        while True:
            oldest = self._replies[0] if self._replies else None
            # Two sleeps: after one, a busy event loop may not have read a reply that has already arrived.
            await asyncio.sleep(LOOK_SECONDS)
            await asyncio.sleep(LOOK_SECONDS)
            if oldest is not None and self._replies and self._replies[0] is oldest:
                self.fail(RedisTimeoutError("Redis did not reply in time."))
                return
