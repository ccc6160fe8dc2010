"""`python -m app.forge.doctor` on PostgreSQL: each fault of the server and of the database is found."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import quote, urlsplit, urlunsplit

import pytest

from app.settings import Settings
from tests.machinery.doctor import Patient

AXES: tuple[str, ...] = ()

REMOVAL = """
DROP SCHEMA IF EXISTS doctor CASCADE;
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'doctor') THEN
        DROP OWNED BY doctor;
        DROP ROLE doctor;
    END IF;
END $$
"""
Execute = Callable[[str], Awaitable[None]]


@pytest.fixture
async def execute(settings: Settings) -> AsyncIterator[Execute]:
    """Yield a function that runs statements; the schema and the role `doctor` are removed at the end."""
    connection = await settings.server.connect(timeout_seconds=5, server_settings={})

    async def run(sql: str) -> None:
        await connection.execute(sql)

    await run(REMOVAL)
    yield run
    await run(REMOVAL)
    await connection.close()


def with_options(patient: Patient, options: str) -> None:
    """Connect with these options of the server."""
    url = patient.variables["DATABASE_URL"]
    patient.variables["DATABASE_URL"] = f"{url}{'&' if '?' in url else '?'}options={quote(options)}"


def with_address(patient: Patient, pattern: str, replacement: str) -> None:
    """Replace a part of the URL."""
    url = patient.variables["DATABASE_URL"]
    changed = re.sub(pattern, replacement, url, count=1)
    assert changed != url
    patient.variables["DATABASE_URL"] = changed


def of_role(url: str, role: str) -> str:
    """Return the URL with another user."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{role}:wrong@{parts.netloc.rpartition('@')[2]}"))


def test_a_server_that_does_not_respond_is_found(patient: Patient) -> None:
    with_address(patient, r"(//[^/]*):\d+/", r"\1:9/")
    assert "ConnectionRefusedError" in patient.examine().problem("database.unreachable")


def test_an_unknown_role_is_found_without_its_password(patient: Patient) -> None:
    patient.variables["DATABASE_URL"] = of_role(patient.variables["DATABASE_URL"], "of_nobody")
    examined = patient.examine()
    assert "of_nobody" in examined.problem("database.refused")
    assert "wrong" not in examined.text


def test_a_missing_database_is_found(patient: Patient) -> None:
    with_address(patient, r"/[^/?]+(\?.*)?$", r"/none_such_test\1")
    assert "none_such_test" in patient.examine().problem("database.missing")


def test_pending_migrations_are_counted(patient: Patient) -> None:
    with_options(patient, "-csearch_path=doctor")
    assert "lacks 1 of 1 migrations" in patient.examine().problem("migrations.pending")


async def test_a_migration_of_another_version_is_found(patient: Patient, execute: Execute) -> None:
    await execute("CREATE SCHEMA doctor; CREATE TABLE doctor.alembic_version AS SELECT 'ffff' AS version_num")
    with_options(patient, "-csearch_path=doctor")
    assert "ffff" in patient.examine().problem("migrations.unknown")


async def test_missing_tables_are_found(patient: Patient, execute: Execute) -> None:
    await execute(
        "CREATE SCHEMA doctor; CREATE TABLE doctor.alembic_version AS SELECT * FROM alembic_version"
    )
    with_options(patient, "-csearch_path=doctor")
    assert "does not exist" in patient.examine().problem("database.schema")


async def test_missing_privileges_are_found(patient: Patient, execute: Execute) -> None:
    await execute(
        "CREATE ROLE doctor LOGIN PASSWORD 'wrong'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO doctor"
    )
    await execute("GRANT USAGE ON SCHEMA public TO doctor")
    patient.variables["DATABASE_URL"] = of_role(patient.variables["DATABASE_URL"], "doctor")
    found = [each["problem"] for each in patient.examine().document["findings"]]
    assert "The service's role may not INSERT in items." in found
    assert not [problem for problem in found if "SELECT" in problem]


def test_a_server_that_is_read_only_is_found(patient: Patient) -> None:
    with_options(patient, "-cdefault_transaction_read_only=on")
    assert "does not accept changes" in patient.examine().problem("database.read_only")


def test_more_connections_than_the_server_accepts_are_found_with_both_numbers(patient: Patient) -> None:
    patient.variables |= {"DATABASE_MAX_CONNECTIONS": "90000", "DATABASE_POOL_SIZE": "30000", "WORKERS": "2"}
    problem = patient.examine().problem("database.connections")
    assert re.search(r"may open 60000 connections to the database, and it accepts \d+ more", problem)


def test_more_workers_than_connections_are_a_contradiction(patient: Patient) -> None:
    patient.variables |= {"DATABASE_MAX_CONNECTIONS": "1", "WORKERS": "2"}
    assert "each worker needs a connection" in patient.examine().problem("settings.contradiction")


def test_behind_a_pooler_connections_are_not_counted(patient: Patient) -> None:
    patient.variables["DATABASE_POOLER"] = "prepared"
    examined = patient.examine()
    assert "database.connections" in {each["check"] for each in examined.document["not_checked"]}
