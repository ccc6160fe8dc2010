"""MongoDB, or the stand-in that speaks its protocol, checked with PyMongo."""

import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pymongo

from testkit.servers.program import Binary, Program
from testkit.servers.server import Server, checked_name

CONNECT_MILLISECONDS = 2000


MONGODB = Program(
    title="MongoDB",
    variable="FASTFORGE_MONGODB_URL",
    executables=("mongod",),
    wheel="SecantusDB",
    path_in_wheels="bin/secantusd-py",
    remedy=(
        "install mongod (mongodb.com/docs/manual/installation), "
        "or set FASTFORGE_MONGODB_URL=mongodb://host:27017"
    ),
)


@dataclass
class MongoServer(Server):
    """A server that speaks MongoDB's protocol; `url` names no database."""

    program: ClassVar[Program] = MONGODB
    # Its data is deleted anyway, and the stand-in takes two seconds to shut down.
    stop_signal: ClassVar[signal.Signals] = signal.SIGKILL

    @classmethod
    def prepare(cls, binary: Binary, folder: Path, port: int) -> tuple[list[str], str]:
        """Return the command of mongod or of the stand-in."""
        url = f"mongodb://127.0.0.1:{port}"
        where = ["--port", str(port)]
        if binary.path.name == "mongod":
            return [str(binary.path), "--bind_ip", "127.0.0.1", "--dbpath", str(folder), *where], url
        # Named here instead of by the script's first line, so that its path can be checked.
        python = str(binary.path.with_name("python"))
        storage = ["--host", "127.0.0.1", "--storage-path", str(folder / "data"), "--log-level", "WARNING"]
        return [python, str(binary.path), *storage, *where], url

    @property
    def is_stand_in(self) -> bool:
        """True if this is not a real mongod."""
        return self.version.startswith("SecantusDB")

    def handshake(self) -> str:
        """Ping and return the version that the server reports."""
        with self._client() as client:
            client.admin.command("ping")
            told = client.server_info()
        return _version_in_words(told, self.origin)

    def database(self, name: str) -> str:
        """Return the URL of an empty database `name`; an existing one is dropped."""
        with self._client() as client:
            client.drop_database(checked_name(name))
        return urlsplit(self.url)._replace(path=f"/{name}").geturl()

    def _client(self) -> "pymongo.MongoClient[dict[str, Any]]":
        return pymongo.MongoClient(self.url, serverSelectionTimeoutMS=CONNECT_MILLISECONDS)


def _version_in_words(told: dict[str, Any], origin: str) -> str:
    if "SecantusDB" in origin:
        return f"SecantusDB, a stand-in that reports MongoDB {told['version']}"
    return f"MongoDB {told['version']}"
