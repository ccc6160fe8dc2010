"""The role of compose's PostgreSQL suffices for the tests and migrations of the service."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg  # type: ignore[import-untyped]
import pytest

from testkit.servers import running_servers
from testkit.servers.postgres import run
from tests.variants.environments import clean_environment, environment_of
from tests.variants.rendering import Renderer

PASSWORD = "0123456789abcdef"
DATABASE = "role_test"
# Not a server of others: its roles are for all of its databases.
SOURCES = ("system", "wheels")


@pytest.fixture(scope="module")
def urls(renderer: Renderer) -> Iterator[tuple[Path, str, str]]:
    """The project, and the URLs of both databases for its role, on a separate server."""
    psql = shutil.which("psql")
    if psql is None:
        pytest.skip("The role was not created: no psql on PATH (Debian: apt-get install postgresql-client).")
    project = renderer.render({"project_name": "Shop", "database": "postgres"})
    with running_servers({"postgres"}, SOURCES) as servers:
        parts = urlsplit(servers.postgres.database(DATABASE))
        subprocess.run(
            ["bash", str(project.folder / "deploy/postgres/create_role.sh")],
            env={
                "PATH": os.environ["PATH"],
                "POSTGRES_USER": str(parts.username),
                "POSTGRES_DB": DATABASE,
                "DATABASE_PASSWORD": PASSWORD,
                "PGPASSWORD": str(parts.password),
                "PGHOST": str(parts.hostname),
                "PGPORT": str(parts.port),
            },
            check=True,
        )
        base = f"postgresql://service:{PASSWORD}@{parts.hostname}:{parts.port}"
        yield project.folder, f"{base}/{DATABASE}", f"{base}/{DATABASE}_test"


async def refused(url: str, *statements: str) -> list[str]:
    """Return the statements that the role may not execute."""
    connection = await asyncpg.connect(url)
    try:
        found = []
        for statement in statements:
            try:
                await connection.execute(statement)
            except (asyncpg.InsufficientPrivilegeError, asyncpg.InvalidSchemaNameError):
                found.append(statement)
        return found
    finally:
        await connection.close()


def test_the_role_owns_its_schema_and_nothing_else(urls: tuple[Path, str, str]) -> None:
    _, url, _ = urls
    forbidden = [
        "CREATE SCHEMA other",
        "CREATE ROLE other",
        "CREATE DATABASE other",
        "ALTER ROLE service SUPERUSER",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SELECT pg_read_file('/etc/passwd')",
        f"DROP DATABASE {DATABASE}",
    ]
    assert run(refused(url, "CREATE TABLE notes (id int)", "DROP TABLE notes", *forbidden)) == forbidden


async def properties(url: str) -> tuple[object, ...]:
    """Return the attributes of the role, and the schemas that it owns."""
    connection = await asyncpg.connect(url)
    try:
        row = await connection.fetchrow(
            "SELECT rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls,"
            " (SELECT string_agg(nspname, ',') FROM pg_namespace WHERE nspowner = pg_roles.oid)"
            " FROM pg_roles WHERE rolname = current_user"
        )
        return tuple(row)
    finally:
        await connection.close()


def test_the_role_is_not_a_superuser(urls: tuple[Path, str, str]) -> None:
    assert run(properties(urls[1])) == (False, False, False, False, False, "public")


@pytest.mark.thorough
def test_the_tests_and_the_migrations_need_no_more_than_the_role(urls: tuple[Path, str, str]) -> None:
    project, url, for_tests = urls
    python = environment_of(project) / "bin/python"
    for command, variables in (
        (["-m", "pytest", "-q"], {"TEST_DATABASE_URL": for_tests}),
        (["-m", "alembic", "upgrade", "head"], {"DATABASE_URL": url}),
    ):
        done = subprocess.run(
            [python, *command],
            cwd=project,
            env=clean_environment(**variables),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
