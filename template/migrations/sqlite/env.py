"""Runs the migrations: `alembic upgrade head`. They are plain SQL; SQLAlchemy only carries it."""

from alembic import context
from sqlalchemy import create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from app.store.sqlite import StoreSettings


def _write_ahead(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    # The journal mode is a property of the file, and cannot be changed inside a transaction.
    connection.execute("PRAGMA journal_mode = WAL")


def migrate() -> None:
    """Bring the database to the wanted revision, each migration in a transaction of its own."""
    path = StoreSettings().database_path
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(f"sqlite:///{path}")
    event.listen(engine, "connect", _write_ahead)
    with engine.connect() as connection:
        context.configure(connection=connection, transaction_per_migration=True)
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


migrate()
