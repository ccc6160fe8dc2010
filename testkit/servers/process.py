"""One server process: started unprivileged, found by its folder, and ended with its parent."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from testkit.servers import launcher
from testkit.servers.errors import ServerDied

READY_SECONDS = 30.0
STOP_SECONDS = 5.0
POLL_SECONDS = 0.03


def free_port() -> int:
    """Return a free loopback port.

    It is below the range of outgoing connections: otherwise a client that retries while the server is down
    would sooner or later connect to itself.
    """
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def processes_in(folder: Path) -> list[int]:
    """Return the other processes that work in `folder` or below: a server with all its children."""
    found = [int(entry.name) for entry in Path("/proc").glob("[0-9]*") if _works_in(entry, folder)]
    return [pid for pid in found if pid != os.getpid()]


def _works_in(process: Path, folder: Path) -> bool:
    try:
        return (process / "cwd").readlink().is_relative_to(folder)
    except OSError:
        return False


def kill_processes_in(folder: Path) -> None:
    """Kill every process that works in `folder`, including stopped ones, until none is left."""
    deadline = time.monotonic() + STOP_SECONDS
    while (pids := processes_in(folder)) and time.monotonic() < deadline:
        _signal(pids, signal.SIGKILL)
        time.sleep(POLL_SECONDS)


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


@dataclass
class ServerProcess:
    """A server that can be started, paused, killed and started again on the same port with the same data.

    Start it from a thread that lives as long as the server should: Linux kills it when that thread ends.
    """

    title: str
    command: list[str]
    folder: Path
    uid: int
    handshake: Callable[[], str]
    stop_signal: signal.Signals
    popen: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """The file with everything the server printed."""
        return self.folder.with_suffix(".log")

    def launch(self) -> None:
        """Start the process; `wait_until_ready` waits for its first response."""
        launch = [
            sys.executable,
            "-I",
            "-S",
            launcher.__file__,
            str(os.getpid()),
            str(self.uid),
            *self.command,
        ]
        environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self.folder), "LC_ALL": "C"}
        with self.log.open("ab") as log:
            self.popen = subprocess.Popen(
                launch,
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Only the tests handle Ctrl-C at the terminal; they stop their servers in order.
                start_new_session=True,
            )

    def wait_until_ready(self, seconds: float = READY_SECONDS) -> str:
        """Return the server's version once a driver's handshake succeeds, or raise `ServerDied`."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                return self.handshake()
            except Exception as failure:
                if self.popen is None or self.popen.poll() is not None or time.monotonic() > deadline:
                    raise ServerDied(self._last_words()) from failure
            time.sleep(POLL_SECONDS)

    def start(self) -> None:
        """Start again after `kill` or `stop`, and return when the server is ready."""
        self.launch()
        self.wait_until_ready()

    def pause(self) -> None:
        """Freeze the server and its children: connections stay open, without responses."""
        if self.popen is not None:
            _signal([self.popen.pid], signal.SIGSTOP)
        # Only now can no further child appear.
        _signal(processes_in(self.folder), signal.SIGSTOP)

    def resume(self) -> None:
        """Resume a paused server."""
        _signal(processes_in(self.folder), signal.SIGCONT)

    def kill(self) -> None:
        """Kill the server and its children at once, as a crash would."""
        kill_processes_in(self.folder)
        if self.popen is not None:
            self.popen.wait(STOP_SECONDS)

    def stop(self) -> None:
        """Shut the server down, or kill it if that takes too long."""
        if self.popen is None or self.popen.poll() is not None:
            return
        self.resume()
        self.popen.send_signal(self.stop_signal)
        try:
            self.popen.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-15:]
        return "\n".join([f"{self.title} did not answer; its log ends:", *lines])
