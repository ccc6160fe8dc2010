"""The export of many rows: its memory, and the time to its first byte."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

import asyncpg  # type: ignore[import-untyped]
from fastforge_kit.service import HOST, Service
from fastforge_kit.verdicts import AtMost
from fastforge_kit.workloads import request

from benchmarks.goals.catalogue import POSTGRES
from benchmarks.goals.cpu_per_request import ITEMS
from benchmarks.goals.rows import Row, row_of
from benchmarks.goals.session import Session
from benchmarks.goals.startup import memory_mib
from benchmarks.load.servers import running

# Made by the database server. They are in the order of their numbers, as with every UUIDv7.
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
    growth = f"Export {session.export_rows:,} rows: growth of resident memory"
    first_byte = f"Export {session.export_rows:,} rows: time to the first byte"
    if not session.wants(growth, first_byte):
        return
    # A separate database, so that no other benchmark has so many rows.
    urls = {"postgres": session.servers.postgres.database("benchmarks_export_test"), "redis": ""}
    with running(POSTGRES, urls, session.folder, session.core) as server:
        session.progress(f"export: making {session.export_rows:,} rows")
        asyncio.run(_fill(urls["postgres"], session.export_rows))
        session.progress("export: reading them")
        assert server.request("GET", f"{ITEMS}?limit=100").status == 200
        before = memory_mib(server)
        exported, most_mib, first_byte_ms = _export(server)
        if exported != session.export_rows:
            raise SystemExit(f"The export has {exported:,} of {session.export_rows:,} rows.")
        yield row_of(growth, "", AtMost(20.0), [MB_PER_MIB * (most_mib - before)], "MB")
        others = [_first_byte_ms(server) for _ in range(FIRST_BYTES)]
        yield row_of(first_byte, "", AtMost(100.0), [first_byte_ms, *others], "ms")


async def _fill(url: str, count: int) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(FILL, count)
        await connection.execute("VACUUM ANALYZE items")
    finally:
        await connection.close()


def _export(server: Service) -> tuple[int, float, float]:
    """Return the number of rows, the peak memory in MiB, and the milliseconds to the first byte."""
    with _started(server) as (connection, received, first_byte_ms):
        lines, most_mib, sampled_at, last = 0, 0.0, 0.0, b""
        while received:
            # Every row ends so, and its end may arrive in two parts.
            lines += (last + received).count(b"}\n")
            last = received[-1:]
            if perf_counter() - sampled_at > SAMPLE_SECONDS:
                most_mib, sampled_at = max(most_mib, memory_mib(server)), perf_counter()
            received = connection.recv(RECEIVED_BYTES)
        return lines, max(most_mib, memory_mib(server)), first_byte_ms


def _first_byte_ms(server: Service) -> float:
    with _started(server) as (_, _, first_byte_ms):
        return first_byte_ms


@contextmanager
def _started(server: Service) -> Iterator[tuple[socket.socket, bytes, float]]:
    """Yield the connection of an export, its first bytes, and the milliseconds until they arrived."""
    with socket.create_connection((HOST, server.port), TIMEOUT_SECONDS) as connection:
        started_at = perf_counter()
        connection.sendall(request("GET", f"{ITEMS}/export", headers={"Connection": "close"}))
        received = connection.recv(RECEIVED_BYTES)
        first_byte_ms = 1_000 * (perf_counter() - started_at)
        if not received.startswith(b"HTTP/1.1 200 "):
            raise SystemExit(f"The response to the export is {received[:80]!r}.")
        yield connection, received, first_byte_ms
