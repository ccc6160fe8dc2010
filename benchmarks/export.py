"""The export of many rows: how much memory it takes, and how soon it begins."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

import asyncpg  # type: ignore[import-untyped]

from benchmarks.contenders import HOST, Running, running
from benchmarks.goals import POSTGRES
from benchmarks.load import ITEMS, request
from benchmarks.session import Session
from benchmarks.startup import memory_mib
from benchmarks.verdicts import Bound, Row, row_of

# Made inside the server. Their order is that of their numbers, as with every UUIDv7.
FILL = """
    INSERT INTO items (id, name, description, price_cents, tags, created_at, updated_at)
    SELECT ('01890a5d-ac96-774b-8000-' || lpad(to_hex(number), 12, '0'))::uuid, 'exported ' || number,
        'A sturdy thing of the usual size, delivered within a week.', 12900, ARRAY['garden', 'steel'],
        now(), now()
    FROM generate_series(1, $1::int) AS number"""
FIRST_BYTES = 5
RECEIVED_BYTES = 64 * 1024
SAMPLE_SECONDS = 0.02
TIMEOUT_SECONDS = 60.0
MB_PER_MIB = 1.048576


def rows(session: Session) -> Iterator[Row]:
    """Yield the growth of the server's memory and the time to the first byte."""
    growth = f"export of {session.export_rows:,} rows: growth of resident memory"
    first_byte = f"export of {session.export_rows:,} rows: first byte"
    if not session.wants(growth, first_byte):
        return
    # A database of its own, so that nothing else has to do with so many rows.
    urls = {"postgres": session.servers.postgres.database("benchmarks_export_test"), "redis": ""}
    with running(POSTGRES, urls, session.folder, session.core) as server:
        session.progress(f"export: making {session.export_rows:,} rows")
        asyncio.run(_fill(urls["postgres"], session.export_rows))
        session.progress("export: reading them")
        assert server.ask("GET", f"{ITEMS}?limit=100")[0] == 200
        before = memory_mib(server)
        exported, most_mib, first_byte_ms = _export(server)
        if exported != session.export_rows:
            raise SystemExit(f"The export has {exported:,} of {session.export_rows:,} rows.")
        yield row_of(growth, Bound(20.0), [MB_PER_MIB * (most_mib - before)], "MB")
        others = [_first_byte_ms(server) for _ in range(FIRST_BYTES)]
        yield row_of(first_byte, Bound(100.0), [first_byte_ms, *others], "ms")


async def _fill(url: str, count: int) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(FILL, count)
        await connection.execute("VACUUM ANALYZE items")
    finally:
        await connection.close()


def _export(server: Running) -> tuple[int, float, float]:
    """Return how many rows came, the most memory meanwhile in MiB, and the milliseconds to the first byte."""
    with _begun(server) as (connection, received, first_byte_ms):
        lines, most_mib, sampled_at, last = 0, 0.0, 0.0, b""
        while received:
            # Every row ends so, and it may come in two parts.
            lines += (last + received).count(b"}\n")
            last = received[-1:]
            if perf_counter() - sampled_at > SAMPLE_SECONDS:
                most_mib, sampled_at = max(most_mib, memory_mib(server)), perf_counter()
            received = connection.recv(RECEIVED_BYTES)
        return lines, max(most_mib, memory_mib(server)), first_byte_ms


def _first_byte_ms(server: Running) -> float:
    with _begun(server) as (_, _, first_byte_ms):
        return first_byte_ms


@contextmanager
def _begun(server: Running) -> Iterator[tuple[socket.socket, bytes, float]]:
    """Yield the connection of an export, its first bytes, and after how many milliseconds they came."""
    with socket.create_connection((HOST, server.port), TIMEOUT_SECONDS) as connection:
        started_at = perf_counter()
        connection.sendall(request("GET", f"{ITEMS}/export", Connection="close").encode())
        received = connection.recv(RECEIVED_BYTES)
        first_byte_ms = 1_000 * (perf_counter() - started_at)
        if not received.startswith(b"HTTP/1.1 200 "):
            raise SystemExit(f"The export answers {received[:80]!r}.")
        yield connection, received, first_byte_ms
