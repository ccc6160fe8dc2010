"""Migrations of PostgreSQL: several at once, with the URLs of the service, and as SQL without any server."""

import asyncio
import subprocess
import sys
from collections.abc import Callable

import pytest

from app.forge.database import open_database
from app.forge.database.postgres_url import parse_url
from app.resources import RESOURCES
from app.settings import Settings
from tests.migrate import PROJECT, migrate

AXES: tuple[str, ...] = ()

AT_ONCE = 4
SECONDS = 120
UPGRADE = (sys.executable, "-m", "alembic", "upgrade", "head")

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(environment: dict[str, str]) -> Start:
    """Return a function that starts a command in the project's directory."""

    def start(*command: str, **variables: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            command,
            cwd=PROJECT,
            env={**environment, **variables},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    return start


def test_concurrent_migrations_all_succeed(start: Start, database_url: str, settings: Settings) -> None:
    migrate(database_url, "base")
    upgrades = [start(*UPGRADE) for _ in range(AT_ONCE)]
    told = [upgrade.communicate(timeout=SECONDS)[1] for upgrade in upgrades]
    assert [upgrade.returncode for upgrade in upgrades] == [0] * AT_ONCE, told
    asyncio.run(ping(settings))


async def ping(settings: Settings) -> None:
    async with open_database(settings, [resource.table for resource in RESOURCES]) as database:
        await database.ping()


def test_a_migration_waits_for_another_and_prints_that(start: Start, database_url: str) -> None:
    async def locked() -> str:
        connection = await parse_url(database_url).connect(timeout_seconds=5, server_settings={})
        try:
            async with connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock(7263482019375641)")
                upgrade = start(*UPGRADE)
                assert upgrade.stderr is not None
                said = await asyncio.to_thread(upgrade.stderr.readline)
                assert upgrade.poll() is None
        finally:
            await connection.close()
        await asyncio.to_thread(upgrade.communicate, timeout=SECONDS)
        assert upgrade.returncode == 0
        return said

    assert "Another process migrates the database" in asyncio.run(locked())


def test_migrations_are_written_as_sql_without_a_server(start: Start) -> None:
    for variables in ({"DATABASE_URL": "postgresql://127.0.0.1:9/nowhere"}, {"DATABASE_URL": ""}):
        upgrade = start(*UPGRADE, "--sql", **variables)
        sql, told = upgrade.communicate(timeout=SECONDS)
        assert upgrade.returncode == 0, told
        assert 'CREATE TABLE "items"' in sql


def test_migrations_accept_the_options_of_the_service(start: Start, database_url: str) -> None:
    options = "sslmode=prefer&application_name=a%25b&connect_timeout=5&options=-cstatement_timeout=60s"
    url = f"{database_url}{'&' if '?' in database_url else '?'}{options}&target_session_attrs=read-write"
    upgrade = start(*UPGRADE, DATABASE_URL=url)
    assert (upgrade.communicate(timeout=SECONDS), upgrade.returncode)[1] == 0


def test_migrations_refuse_a_url_by_name_and_without_its_password(start: Start) -> None:
    upgrade = start(*UPGRADE, DATABASE_URL="postgresql://u:secret@h/d?keepalives=1")
    _, told = upgrade.communicate(timeout=SECONDS)
    assert upgrade.returncode != 0
    assert "'keepalives'" in told
    assert "secret" not in told
