"""Servers side by side: started together in a separate folder, which is removed at the end."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from testkit.servers.errors import ServerDied, ServerUnavailable
from testkit.servers.mongodb import MongoServer
from testkit.servers.nginx import Nginx
from testkit.servers.postgres import PostgresServer
from testkit.servers.privileges import temporary_root
from testkit.servers.process import kill_processes_in
from testkit.servers.program import SOURCES
from testkit.servers.redis import RedisServer

AnyServer = PostgresServer | RedisServer | MongoServer | Nginx

CLASSES: dict[str, type[AnyServer]] = {
    "postgres": PostgresServer,
    "redis": RedisServer,
    "mongodb": MongoServer,
    "nginx": Nginx,
}
KINDS = tuple(CLASSES)
PREFIX = "fastforge-servers-"
ATTEMPTS = 2

T = TypeVar("T")


class Servers:
    """The running servers; access to one that is not available raises its `ServerUnavailable`."""

    def __init__(self, outcomes: dict[str, AnyServer | ServerUnavailable]) -> None:
        self.outcomes = outcomes

    @property
    def postgres(self) -> PostgresServer:
        """PostgreSQL."""
        return self._get("postgres", PostgresServer)

    @property
    def redis(self) -> RedisServer:
        """Valkey or Redis."""
        return self._get("redis", RedisServer)

    @property
    def mongodb(self) -> MongoServer:
        """MongoDB or its stand-in."""
        return self._get("mongodb", MongoServer)

    @property
    def nginx(self) -> Nginx:
        """The nginx executable."""
        return self._get("nginx", Nginx)

    def of(self, kind: str) -> AnyServer:
        """Return the server of this kind."""
        outcome = self.outcomes[kind]
        if isinstance(outcome, ServerUnavailable):
            raise outcome
        return outcome

    def _get(self, kind: str, of: type[T]) -> T:
        server = self.of(kind)
        assert isinstance(server, of)
        return server


@contextmanager
def running_servers(kinds: Collection[str] = KINDS, sources: tuple[str, ...] = SOURCES) -> Iterator[Servers]:
    """Yield the servers of `kinds`, each ready; raise `ServerUnavailable` for one that is not available."""
    with open_servers(kinds, sources) as servers:
        for outcome in servers.outcomes.values():
            if isinstance(outcome, ServerUnavailable):
                raise outcome
        yield servers


@contextmanager
def open_servers(kinds: Collection[str] = KINDS, sources: tuple[str, ...] = SOURCES) -> Iterator[Servers]:
    """Yield the servers of `kinds` that are available, each ready; access to one of the others raises."""
    with _folder() as folder:
        servers = Servers({})
        try:
            servers.outcomes.update((kind, _open(kind, folder / kind, sources)) for kind in sorted(kinds))
            for kind, server in servers.outcomes.items():
                servers.outcomes[kind] = _ready(kind, server, folder, sources)
            yield servers
        finally:
            _stop(servers)


def describe(servers: Servers) -> str:
    """Return one line per server: its version and origin, or the reason if there is none."""
    return "\n".join(
        f"{outcome}" if isinstance(outcome, ServerUnavailable) else f"{outcome.version} ({outcome.origin})"
        for outcome in servers.outcomes.values()
    )


def _open(kind: str, folder: Path, sources: tuple[str, ...]) -> AnyServer | ServerUnavailable:
    try:
        return CLASSES[kind].open(folder, sources)
    except ServerUnavailable as reason:
        return reason


def _ready(
    kind: str, server: AnyServer | ServerUnavailable, folder: Path, sources: tuple[str, ...]
) -> AnyServer | ServerUnavailable:
    """Return `server` when it is ready; start it again if it dies, because its port may have been taken."""
    for attempt in range(ATTEMPTS):
        if isinstance(server, ServerUnavailable):
            return server
        try:
            server.wait_until_ready()
        except ServerUnavailable as reason:
            return reason
        except ServerDied as death:
            server.stop()
            last_words = str(death)
        else:
            return server
        if attempt + 1 < ATTEMPTS:
            server = _open(kind, folder / f"{kind}-again", sources)
    return ServerUnavailable(
        CLASSES[kind].__name__, [last_words], "read the log above, or name another server"
    )


def _stop(servers: Servers) -> None:
    for outcome in servers.outcomes.values():
        if not isinstance(outcome, ServerUnavailable):
            outcome.stop()


@contextmanager
def _folder() -> Iterator[Path]:
    """Yield a new folder for the servers' data; remove those whose owner was killed, including servers."""
    root = temporary_root().resolve()
    _sweep(root)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=root))
    with _owned(folder):
        # Other users may traverse it into their folder, but not list it.
        folder.chmod(0o711)
        try:
            yield folder
        finally:
            _remove(folder)


@contextmanager
def _owned(folder: Path) -> Iterator[None]:
    """Hold a lock that marks `folder` as used until this process ends for any reason."""
    with (folder / "taken").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # A file gets the name that a sweep looks for only after it is locked.
        (folder / "taken").rename(folder / "owner")
        yield


def _sweep(root: Path) -> None:
    for lock_file in root.glob(f"{PREFIX}*/owner"):
        try:
            with lock_file.open() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if lock_file.stat().st_uid == os.geteuid():
                    _remove(lock_file.parent)
        except OSError:
            continue


def _remove(folder: Path) -> None:
    kill_processes_in(folder)
    shutil.rmtree(folder, ignore_errors=True)
