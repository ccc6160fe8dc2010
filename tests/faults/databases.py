"""The databases under test: ways to freeze and kill each, to count its queries, and to store a bad row."""

from __future__ import annotations

import asyncio
import sqlite3
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import asyncpg  # type: ignore[import-untyped]
import pymongo
from bson import Binary

from testkit.servers import MongoServer, PostgresServer
from testkit.servers.postgres import run
from testkit.servers.server import Server

NAME = "faults_test"
SETTLED_SECONDS = 0.2
TIME = "2026-01-02T03:04:05.678Z"
# Python imports it at startup, because its folder is on PYTHONPATH. It logs each statement that SQLite runs.
SQLITE_TRACE = """\
import os, sqlite3
connect, log = sqlite3.connect, os.open({path!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
def traced(*arguments, **options):
    connection = connect(*arguments, **options)
    connection.set_trace_callback(lambda sql: os.write(log, (" ".join(sql.split()) + "\\n").encode()))
    return connection
sqlite3.connect = traced
"""


class Database(ABC):
    """A database that belongs to one service; `server` is None if it has no server."""

    server: Server | None
    # The parts of it that no client may ever read.
    secrets: tuple[str, ...] = ()

    @property
    @abstractmethod
    def variables(self) -> dict[str, str]:
        """The environment variables that connect a service to it."""

    @property
    def tracing(self) -> dict[str, str]:
        """The environment variables that `queries` needs to count a service's statements."""
        return {}

    @abstractmethod
    def frozen(self) -> Any:
        """Return a context in which no write completes."""

    def queries(self) -> int:
        """Return the number of statements that the database has counted, once the count has caught up."""
        before, now = -1, self.count()
        while now != before:
            time.sleep(SETTLED_SECONDS)
            before, now = now, self.count()
        return now

    @abstractmethod
    def count(self) -> int:
        """Return the number of statements counted so far; only differences are meaningful."""

    @abstractmethod
    def put_bad_item(self) -> str:
        """Store an item with an empty name, which a service would refuse, and return its id."""


class Sqlite(Database):
    """A file in the project's folder; its statements are counted by SQLite's own trace."""

    server = None
    secrets = ("sqlite",)

    def __init__(self, folder: Path) -> None:
        self.path = folder / "app.db"
        self.trace = folder / "statements.log"
        self.sitecustomize = folder / "sitecustomize"
        self.sitecustomize.mkdir(parents=True, exist_ok=True)
        (self.sitecustomize / "sitecustomize.py").write_text(SQLITE_TRACE.format(path=str(self.trace)))
        self.trace.touch()

    @property
    def variables(self) -> dict[str, str]:
        return {"DATABASE_URL": f"sqlite:///{quote(str(self.path))}"}

    @property
    def tracing(self) -> dict[str, str]:
        return {"PYTHONPATH": str(self.sitecustomize)}

    @contextmanager
    def frozen(self) -> Iterator[None]:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")

    def count(self) -> int:
        return len(self.trace.read_text().splitlines())

    def put_bad_item(self) -> str:
        item_id = str(uuid.uuid4())
        with closing(sqlite3.connect(self.path, isolation_level=None, timeout=10)) as connection:
            row = (item_id, "", None, 1, "[]", TIME, TIME)
            connection.execute("INSERT INTO items VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        return item_id


class WithServer(Database):
    """A database on a server that was started only for it."""

    server: Server

    def __init__(self, server: Server, url: str) -> None:
        self.server = server
        self.url = url
        # With its colon, because a request id of hexadecimal digits may contain the port's digits.
        self.secrets = (f":{urlsplit(url).port}", NAME)

    @property
    def variables(self) -> dict[str, str]:
        return {"DATABASE_URL": self.url}

    @contextmanager
    def frozen(self) -> Iterator[None]:
        self.server.pause()
        try:
            yield
        finally:
            self.server.resume()


class Postgres(WithServer):
    """PostgreSQL; its log contains every statement."""

    def __init__(self, server: PostgresServer) -> None:
        super().__init__(server, server.database(NAME))
        self.secrets = (*self.secrets, str(urlsplit(self.url).password))
        self._execute(f"ALTER DATABASE {NAME} SET log_statement TO 'all'")

    def count(self) -> int:
        log = self.server.own_process.log.read_text(errors="replace")
        return sum("LOG:  execute" in line or "LOG:  statement:" in line for line in log.splitlines())

    def put_bad_item(self) -> str:
        item_id = str(uuid.uuid4())
        self._execute(f"INSERT INTO items VALUES ('{item_id}', '', NULL, 1, '{{}}', '{TIME}', '{TIME}')")
        return item_id

    def _execute(self, sql: str) -> None:
        async def execute() -> None:
            connection = await asyncpg.connect(self.url, timeout=10)
            try:
                await connection.execute(sql)
            finally:
                await connection.close()

        run(asyncio.wait_for(execute(), 20))


class Mongo(WithServer):
    """MongoDB or its stand-in, which count operations; heartbeats of drivers do not count."""

    def __init__(self, server: MongoServer) -> None:
        super().__init__(server, server.database(NAME))

    def count(self) -> int:
        with self._client() as client:
            counted: dict[str, int] = client.admin.command("serverStatus")["opcounters"]
        return sum(counted[kind] for kind in ("insert", "query", "update", "delete", "getmore"))

    def put_bad_item(self) -> str:
        item_id = uuid.uuid4()
        item: dict[str, Any] = {
            "_id": Binary.from_uuid(item_id),
            "name": "",
            "description": None,
            "price_cents": 1,
            "tags": [],
        }
        with self._client() as client:
            times = dict.fromkeys(("created_at", "updated_at"), client.admin.command("hello")["localTime"])
            client[NAME]["items"].insert_one(item | times)
        return str(item_id)

    def _client(self) -> pymongo.MongoClient[dict[str, Any]]:
        return pymongo.MongoClient(self.url, serverSelectionTimeoutMS=5_000)
