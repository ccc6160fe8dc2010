"""Checks of the database file."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from app.forge.database.sqlite_connections import interrupted_at
from app.forge.database.sqlite_statements import presence
from app.forge.doctor.findings import Context, Finding, NotChecked, Outcomes
from app.forge.doctor.machine import MIB, check_space
from app.forge.doctor.migrations import MIGRATE, check_migrations
from app.forge.doctor.services import unreachable, wrong_schema
from app.resources import RESOURCES

LEAST_FREE_BYTES = 256 * MIB
# Reading a large file as a whole takes long.
CHECK_SECONDS = 5.0
MOUNTS = Path("/proc/self/mounts")
# Their locks do not reach other machines, and the memory that WAL shares does not either: https://sqlite.org/wal.html
NETWORK_FILE_SYSTEMS = ("nfs", "cifs", "smb", "9p", "ceph", "glusterfs", "fuse.sshfs", "fuse.s3fs")


def check_database(context: Context) -> Outcomes:
    """Yield the findings about the file, its contents and its disk. The file is only read."""
    if "database_url" in context.replaced:
        yield NotChecked("database", "DATABASE_URL is invalid")
        return
    path = context.settings.database_path
    yield from _check_disk(path)
    if not path.parent.is_dir():
        yield from _check_parent(path.parent)
    elif not path.exists():
        yield from check_migrations(set())
    else:
        try:
            with closing(
                sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True)
            ) as connection:
                yield from _check_contents(connection)
        except sqlite3.DatabaseError as error:
            yield _unreadable(path, error)


def _check_parent(directory: Path) -> Outcomes:
    existing = next(parent for parent in (directory, *directory.parents) if parent.exists())
    if existing.is_dir():
        # `make migrate` creates it.
        yield from check_migrations(set())
    else:
        yield unreachable("database", "DATABASE_URL", f"{existing} is a file, not a directory.")


def _unreadable(path: Path, error: sqlite3.DatabaseError) -> Finding:
    if isinstance(error, sqlite3.OperationalError):
        return unreachable("database", "DATABASE_URL", f"{path}: {error}.")
    return Finding(
        "database.corrupt",
        "error",
        f"{path} is damaged, or not a database: {error}.",
        "Stop the service, keep a copy of the file, and restore a backup.",
    )


def _check_contents(connection: sqlite3.Connection) -> Outcomes:
    with interrupted_at(time.monotonic() + CHECK_SECONDS, connection):
        tables = {
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        }
        applied = set()
        if "alembic_version" in tables:
            applied = {
                version for (version,) in connection.execute("SELECT version_num FROM alembic_version")
            }
        pending = list(check_migrations(applied))
        yield from pending
        if not pending:
            yield from _check_tables(connection)
        try:
            yield from _check_rows(connection)
        except sqlite3.OperationalError as error:
            yield NotChecked(
                "database.corrupt", f"the file cannot be read within {CHECK_SECONDS:g} s ({error})"
            )


def _check_tables(connection: sqlite3.Connection) -> Outcomes:
    for resource in RESOURCES:
        try:
            connection.execute(presence(resource.table)).fetchall()
        except sqlite3.OperationalError as error:
            yield wrong_schema(f"{error}.")


def _check_rows(connection: sqlite3.Connection) -> Outcomes:
    (state,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if state != "ok":
        raise sqlite3.DatabaseError(" ".join(state.split()))
    broken = connection.execute("PRAGMA foreign_key_check").fetchall()
    if broken:
        table, _row, parent, _number = broken[0]
        yield Finding(
            "database.references",
            "error",
            f"{len(broken)} rows refer to rows that do not exist, the first one in {table} to {parent}.",
            f"Remove or correct them: sqlite3 FILE 'PRAGMA foreign_key_check'. {MIGRATE[:-1]} would fail until then.",
        )


def _check_disk(path: Path) -> Outcomes:
    directory = next(parent for parent in path.absolute().parents if parent.is_dir())
    # Backups, VACUUM and migrations that rebuild a table need the space of the file again.
    size = path.stat().st_size if path.is_file() else 0
    yield from check_space(directory, max(LEAST_FREE_BYTES, size))
    if MOUNTS.exists():
        kind = file_system(directory, MOUNTS.read_text())
        if kind.startswith(NETWORK_FILE_SYSTEMS):
            yield Finding(
                "database.network_file_system",
                "error",
                f"{directory} is on a network file system ({kind}), where several machines damage the database.",
                "Put the file on a local disk, or use a database server: fastforge update --set database=…",
            )


def file_system(directory: Path, mounts: str) -> str:
    """Return the type of the file system of a directory; `mounts` has the format of /proc/self/mounts."""
    found = ""
    longest = -1
    for line in mounts.splitlines():
        _, point, kind, *_ = line.split()
        # Spaces are written as \\040.
        mount = Path(point.encode().decode("unicode_escape"))
        # Of several mounts on one directory, the last one counts.
        if directory.is_relative_to(mount) and len(mount.parts) >= longest:
            found, longest = kind, len(mount.parts)
    return found
