"""PgBouncer in front of a PostgreSQL server, one release for each value of a service's DATABASE_POOLER.

The first of these is used: the executable that FASTFORGE_PGBOUNCER names, one of this system, or Debian's
packages, which are unpacked without root or an installation.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg  # type: ignore[import-untyped]

from testkit.servers.debian import unpack
from testkit.servers.errors import NotUsable, ServerUnavailable
from testkit.servers.postgres import CONNECT_SECONDS, PostgresServer, run
from testkit.servers.privileges import give_away, is_reachable, server_uid
from testkit.servers.process import ServerProcess, free_port
from testkit.servers.wheels import locked, server_home

VARIABLE = "FASTFORGE_PGBOUNCER"
KEEPS_STATEMENTS_SINCE = (1, 21)
REMEDY = f"apt-get install pgbouncer, or set {VARIABLE}=/path/to/pgbouncer"
PATHS = ("usr/sbin", "usr/local/sbin", "usr/bin", "usr/local/bin", "opt/homebrew/bin")
LIBRARIES = (
    *("libc6", "libgcc-s1", "libpam0g", "libaudit1", "libcap-ng0", "libsystemd0", "libcap2", "libgcrypt20"),
    *("libgpg-error0", "liblz4-1", "liblzma5", "libzstd1", "zlib1g"),
)


@dataclass(frozen=True)
class Release:
    """A release of Debian, and the libraries that PgBouncer needs there in addition to `LIBRARIES`."""

    suite: str
    libraries: tuple[str, ...]


# By DATABASE_POOLER of a service; the first release has PgBouncer 1.18, the second 1.24.
RELEASES = {
    "transaction": Release("bookworm", ("libc-ares2", "libevent-2.1-7", "libssl3")),
    "prepared": Release("trixie", ("libcares2", "libevent-2.1-7t64", "libssl3t64")),
}


@dataclass(frozen=True)
class PgBouncer:
    """A running PgBouncer: its version, port and process."""

    version: str
    port: int
    process: ServerProcess

    def through(self, url: str) -> str:
        """Return the URL of a database of the server behind it, through PgBouncer."""
        parts = urlsplit(url)
        return parts._replace(netloc=f"{parts.netloc.rpartition(':')[0]}:{self.port}").geturl()


@contextmanager
def running_pgbouncer(postgres: PostgresServer, pooler: str, folder: Path) -> Iterator[PgBouncer]:
    """Yield a PgBouncer in transaction mode for `pooler`. Raises `ServerUnavailable`."""
    command = find_pgbouncer(pooler)
    folder.mkdir(mode=0o700)
    port = free_port()
    name, text = "pgbouncer.ini", _configuration(postgres, port, keeps_statements=pooler == "prepared")
    (folder / name).write_text(text)
    parts = urlsplit(postgres.url)
    (folder / "users.txt").write_text(f'"{parts.username}" "{parts.password}"\n')
    for path in (folder, folder / name, folder / "users.txt"):
        give_away(path)

    async def handshake() -> str:
        url = parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{port}").geturl()
        connection = await asyncpg.connect(url, timeout=CONNECT_SECONDS, statement_cache_size=0)
        await connection.close()
        return f"PgBouncer {'.'.join(map(str, version_of(command)))}"

    # The servers' user may not enter every folder.
    uid = server_uid() if is_reachable(Path(command[-1])) else os.geteuid()
    process = ServerProcess(
        "PgBouncer", [*command, name], folder, uid, lambda: run(handshake()), PostgresServer.stop_signal
    )
    process.launch()
    try:
        yield PgBouncer(process.wait_until_ready(), port, process)
    finally:
        process.stop()


def _configuration(postgres: PostgresServer, port: int, *, keeps_statements: bool) -> str:
    parts = urlsplit(postgres.url)
    lines = [
        "[databases]",
        f"* = host={parts.hostname} port={parts.port}",
        "[pgbouncer]",
        "listen_addr = 127.0.0.1",
        f"listen_port = {port}",
        "unix_socket_dir =",
        "pool_mode = transaction",
        "auth_type = scram-sha-256",
        "auth_file = users.txt",
        # Few, so that clients really share sessions.
        "default_pool_size = 4",
        "max_client_conn = 200",
        "server_login_retry = 1",
    ]
    # The default since 1.24; older releases do not know it.
    lines += ["max_prepared_statements = 200"] if keeps_statements else []
    return "\n".join([*lines, ""])


def find_pgbouncer(pooler: str) -> list[str]:
    """Return the command of a suitable PgBouncer, or raise `ServerUnavailable`."""
    tried = []
    for path in _here():
        try:
            version = version_of([str(path)])
        except NotUsable as reason:
            tried.append(str(reason))
            continue
        if (version >= KEEPS_STATEMENTS_SINCE) == (pooler == "prepared"):
            return [str(path)]
        tried.append(f"{path} is {'.'.join(map(str, version))}")
    try:
        return _debians(RELEASES[pooler])
    except NotUsable as reason:
        tried.append(str(reason))
    wanted = "1.21 or newer" if pooler == "prepared" else "before 1.21"
    raise ServerUnavailable(f"PgBouncer {wanted}", tried or [f"{VARIABLE} is not set"], REMEDY)


def version_of(command: list[str]) -> tuple[int, ...]:
    """Return the version of a PgBouncer, or raise `NotUsable`."""
    try:
        done = subprocess.run([*command, "--version"], check=True, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.SubprocessError) as failure:
        raise NotUsable(f"{command[0]} does not run: {failure}") from failure
    found = re.search(r"PgBouncer (\d+)\.(\d+)\.(\d+)", done.stdout)
    if found is None:
        raise NotUsable(f"{command[0]} does not identify itself as PgBouncer")
    return tuple(int(part) for part in found.groups())


def _here() -> Iterator[Path]:
    if named := os.environ.get(VARIABLE):
        yield Path(named)
    if found := shutil.which("pgbouncer"):
        yield Path(found).resolve()
    yield from (path for folder in PATHS if (path := Path("/") / folder / "pgbouncer").exists())


def _debians(release: Release) -> list[str]:
    """Return the command of Debian's PgBouncer, run with the libraries of the same release."""
    folder = server_home() / f"pgbouncer-{release.suite}"
    with locked(folder.with_suffix(".lock")):
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            unpack(release.suite, ["pgbouncer", *LIBRARIES, *release.libraries], folder)
            (folder / "complete").touch()
    libraries = folder / "usr/lib" / f"{platform.machine()}-linux-gnu"
    # Older releases have the C library, and some others, outside /usr.
    more = folder / "lib" / f"{platform.machine()}-linux-gnu"
    loader = next((path for where in (libraries, more) for path in where.glob("ld-linux*")), None)
    if loader is None:
        raise NotUsable(f"Debian's packages have no loader for {platform.machine()}")
    command = [str(loader), "--library-path", f"{libraries}:{more}", str(folder / "usr/sbin/pgbouncer")]
    version_of(command)
    return command
