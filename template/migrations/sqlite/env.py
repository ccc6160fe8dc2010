"""Runs the migrations: `alembic upgrade head`. They are plain SQL; SQLAlchemy only carries it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from alembic import context
from alembic.runtime.migration import MigrationContext, MigrationInfo
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.pool import NullPool

from app.forge.database.sqlite import DatabaseSettings, connect

# For as long, a process waits for another one that migrates the same database.
LOCK_SECONDS = 600.0


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Wait until no other process migrates the database, and keep others waiting."""
    # SQLite's own lock, on an empty file beside the database: it works on every system and ends with its process.
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(f"{path}.lock", timeout=LOCK_SECONDS, isolation_level=None)) as lock:
        try:
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            message = f"Another process has been migrating {path} for {LOCK_SECONDS:.0f} s. Try again when it has ended."
            raise TimeoutError(message) from error
        yield


def _begin(connection: Connection) -> None:
    # Neither sqlite3 nor SQLAlchemy begins a transaction for statements such as CREATE TABLE.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _check_foreign_keys(*, ctx: MigrationContext, step: MigrationInfo, **_: Any) -> None:
    # They are not enforced during a migration: it may have to replace a table that others refer to.
    assert ctx.connection is not None
    broken = ctx.connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
    if broken:
        table, row_id, parent, _number = broken[0]
        raise ValueError(
            f"After {step.up_revision_id}, {len(broken)} rows refer to rows that do not exist, the first one "
            f"in {table} (rowid {row_id}) to {parent}. The migration was undone."
        )


def migrate() -> None:
    """Bring the database to the wanted revision, each migration in a separate transaction."""
    settings = DatabaseSettings()
    # The journal mode is a property of the file, and cannot be changed inside a transaction.
    engine = create_engine(
        "sqlite://",
        creator=lambda: connect(settings, settings.database_timeout_seconds, "journal_mode = WAL"),
        poolclass=NullPool,
    )
    event.listen(engine, "begin", _begin)
    with _alone(settings.database_path), engine.connect() as connection:
        context.configure(
            connection=connection,
            transactional_ddl=True,
            transaction_per_migration=True,
            # Alembic passes keywords, which its type does not say.
            on_version_apply=_check_foreign_keys,  # type: ignore[arg-type]
        )
        with context.begin_transaction():
            context.run_migrations()


def write_sql() -> None:
    """Write the migrations as SQL to standard output, without a database: `alembic upgrade head --sql`."""
    context.configure(dialect_name="sqlite", transactional_ddl=True, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    write_sql()
else:
    migrate()
