"""A standby of a PostgreSQL server: it follows by streaming, and can take over."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg  # type: ignore[import-untyped]

from testkit.servers.errors import ServerUnavailable
from testkit.servers.postgres import CONNECT_SECONDS, POSTGRES, TUNING, PostgresServer, run
from testkit.servers.privileges import give_away, server_uid
from testkit.servers.process import ServerProcess, free_port

SYNCHRONOUS = "ALTER SYSTEM SET synchronous_standby_names = '*'"


@contextmanager
def running_standby(primary: PostgresServer, folder: Path) -> Iterator[PostgresServer]:
    """Yield a standby that has to confirm each commit of the primary, for as long as the standby runs.

    Raises `ServerUnavailable`.
    """
    folder.mkdir(mode=0o700)
    give_away(folder)
    # The primary's executable, with links resolved.
    binary = POSTGRES.find(("system", "wheels")).path
    copy = binary.with_name("pg_basebackup")
    if not copy.exists():
        raise ServerUnavailable("pg_basebackup", [f"{binary} has none beside it"], POSTGRES.remedy)
    port = free_port()
    settings = [f"--{name.replace('_', '-')}={value}" for name, value in TUNING.items()]
    make = [
        str(copy),
        "--pgdata=data",
        "--write-recovery-conf",
        "--checkpoint=fast",
        f"--dbname={primary.url}",
    ]
    serve = [str(binary), "-D", "data", "-p", str(port), *settings]
    script = f"{shlex.join(make)} && exec {shlex.join(serve)}"
    parts = urlsplit(primary.url)
    url = parts._replace(netloc=f"{parts.username}:{parts.password}@{parts.hostname}:{port}").geturl()
    standby = PostgresServer(url, str(binary))
    standby.process = ServerProcess(
        "A standby of PostgreSQL",
        ["/bin/sh", "-c", script],
        folder,
        server_uid(),
        standby.handshake,
        PostgresServer.stop_signal,
    )
    standby.process.launch()
    try:
        standby.wait_until_ready()
        execute(primary.url, SYNCHRONOUS, "SELECT pg_reload_conf()")
        yield standby
    finally:
        standby.stop()


def promote(standby: PostgresServer) -> None:
    """Promote the standby, and return when it accepts writes."""
    execute(standby.url, "SELECT pg_promote()", "ALTER SYSTEM RESET synchronous_standby_names")
    execute(standby.url, "SELECT pg_reload_conf()")


def execute(url: str, *statements: str) -> None:
    """Execute each statement separately, in a session that may write even if the default is read-only."""

    async def execute() -> None:
        connection = await asyncpg.connect(url, timeout=CONNECT_SECONDS)
        try:
            await connection.execute("SET default_transaction_read_only = off")
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    run(asyncio.wait_for(execute(), 4 * CONNECT_SECONDS))
