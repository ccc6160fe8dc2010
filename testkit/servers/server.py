"""The common part of all servers: starting and controlling them."""

import os
import signal
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from testkit.servers.errors import NotUsable, ServerUnavailable
from testkit.servers.privileges import give_away, is_reachable, server_uid
from testkit.servers.process import ServerProcess, free_port
from testkit.servers.program import Binary, Program


@dataclass
class Server(ABC):
    """A running server: its URL, its origin, and the version that it reports."""

    program: ClassVar[Program]
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    url: str
    origin: str
    version: str = ""
    process: ServerProcess | None = None

    @classmethod
    @abstractmethod
    def prepare(cls, binary: Binary, folder: Path, port: int) -> tuple[list[str], str]:
        """Return the command that runs the server in `folder` on `port`, and its URL."""

    @abstractmethod
    def handshake(self) -> str:
        """Return the version that the server reports to a driver, or raise whatever the driver raises."""

    @classmethod
    def open(cls, folder: Path, sources: tuple[str, ...]) -> Self:
        """Return the server of the first source that has one, started in `folder` if necessary.

        It is ready after `wait_until_ready`. Raises `ServerUnavailable`.
        """
        url = os.environ.get(cls.program.variable, "") if "environment" in sources else ""
        if url:
            return cls(url.rstrip("/"), cls.program.variable)
        return cls._launch(cls.program.find(sources), folder)

    @classmethod
    def elsewhere(cls, told: dict[str, str]) -> Self:
        """Return a server that another process started and describes."""
        return cls(told["url"], told["origin"], told["version"])

    @classmethod
    def _launch(cls, binary: Binary, folder: Path) -> Self:
        folder.mkdir(mode=0o700)
        give_away(folder)
        command, url = cls.prepare(binary, folder, free_port())
        server = cls(url, binary.origin)
        # Other users cannot run an interpreter in root's home, so the server keeps the current user.
        uid = server_uid() if is_reachable(Path(command[0])) else os.geteuid()
        server.process = ServerProcess(
            cls.program.title, command, folder, uid, server.handshake, cls.stop_signal
        )
        server.process.launch()
        return server

    def wait_until_ready(self) -> None:
        """Return when a driver's handshake with the server succeeds, or raise its error."""
        self.version = self.process.wait_until_ready() if self.process else self._external_version()

    def _external_version(self) -> str:
        variable = self.program.variable
        try:
            return self.handshake()
        except Exception as failure:
            reason = f"the server that {variable} names does not answer: {failure!r}"
            remedy = f"start that server, or unset {variable}"
            raise ServerUnavailable(self.program.title, [reason], remedy) from failure

    @property
    def own_process(self) -> ServerProcess:
        """The process of a server that was started here; raises `NotUsable` for any other."""
        if self.process is None:
            raise NotUsable(f"{self.program.title} was not started here, so it cannot be paused or killed")
        return self.process

    def pause(self) -> None:
        """Freeze the server: connections stay open, without responses."""
        self.own_process.pause()

    def resume(self) -> None:
        """Resume a paused server."""
        self.own_process.resume()

    def kill(self) -> None:
        """Kill the server as a crash would."""
        self.own_process.kill()

    def start(self) -> None:
        """Start again after `kill`, on the same port with the same data, and return when it is ready."""
        self.own_process.start()

    def stop(self) -> None:
        """Stop a server that was started here; one that the environment names keeps running."""
        if self.process is not None:
            self.process.stop()


def checked_name(name: str) -> str:
    """Return `name`, or raise `ValueError` unless it is for tests, because databases are dropped."""
    if "test" not in name:
        raise ValueError(f"{name!r} does not say that it is for tests. Use a name with 'test' in it.")
    return name
