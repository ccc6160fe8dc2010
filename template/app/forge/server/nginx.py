"""Nginx in front of one Uvicorn worker per CPU. Each has its own Unix socket, so Nginx can choose the least busy.

One process starts, monitors and stops them all. SIGTERM finishes accepted requests and stops. SIGHUP makes Nginx
reload its configuration and certificates. A process that is killed is restarted.
"""

import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from prometheus_client.multiprocess import mark_process_dead

from app.forge.observability.logs import configure_logging
from app.forge.server.metrics_directory import metrics_directory
from app.forge.server.nginx_configuration import WORKER_BACKLOG, CannotStart, find_nginx, write_configuration
from app.forge.server.passed_sockets import passed_sockets
from app.forge.server.runtime_directory import hold, runtime_directory
from app.forge.server.settings import listed
from app.forge.server.worker import CLOSING_SECONDS, pipe_to_workers, signal_after_parent

if TYPE_CHECKING:
    from app.settings import Settings

logger = logging.getLogger(__name__)

# The length of sockaddr_un.sun_path without its closing NUL: man 7 unix.
LONGEST_SOCKET_PATH = 107
WATCH_INTERVAL_SECONDS = 0.2
# Certificates are usually renewed a month before they end.
RENEWAL_DAYS = 14
DAY_SECONDS = 24 * 60 * 60


def serve(settings: "Settings") -> None:
    """Serve until SIGTERM or Ctrl-C. Raises `CannotStart`."""
    configure_logging(settings.log_level)
    passed = [listening.detach() for listening in passed_sockets()]
    nginx = find_nginx(settings.nginx_path)
    if fault := certificate_fault(settings):
        raise CannotStart(fault)
    with ExitStack() as stack:
        # A new directory for each start, readable only by its owner.
        runtime = stack.enter_context(runtime_directory("nginx", Path(tempfile.gettempdir())))
        metrics = stack.enter_context(metrics_directory())
        # Nginx and the workers inherit these locks, because they use both directories even if this process is gone.
        locks = [lock for lock in (hold(runtime), hold(metrics)) if lock is not None]
        manager_pipe = pipe_to_workers()
        sockets = [
            stack.enter_context(_listening_socket(runtime / f"worker-{number}.sock"))
            for number in range(settings.workers)
        ]
        command = write_configuration(settings, nginx, runtime)
        _run(
            Program("Nginx", command, signal.SIGQUIT, [*locks, *passed], _inherited(passed)),
            [_worker(listening, manager_pipe[0], locks) for listening in sockets],
            settings.graceful_timeout_seconds + CLOSING_SECONDS,
            lambda: certificate_fault(settings),
        )


def certificate_fault(settings: "Settings") -> str | None:
    """Return why the certificate cannot be served; None if it can, or if there is none. Warn if it ends soon."""
    if settings.tls_certificate is None or settings.tls_certificate_key is None:
        return None
    # Imported lazily: only needed for HTTPS.
    from app.forge.server.nginx_certificate import CertificateFault, check_certificate

    try:
        certificate = check_certificate(settings.tls_certificate, settings.tls_certificate_key)
    except CertificateFault as fault:
        return str(fault)
    days = (certificate.ends_at - time.time()) / DAY_SECONDS
    if days < RENEWAL_DAYS:
        logger.warning("TLS_CERTIFICATE=%s expires in %d days.", settings.tls_certificate, days)
    for name in listed(settings.server_names):
        if not certificate.covers(name):
            logger.warning(
                "TLS_CERTIFICATE=%s is not for %s in SERVER_NAMES.", settings.tls_certificate, name
            )
    return None


def _inherited(descriptors: Sequence[int]) -> Mapping[str, str]:
    """Return the variable in which Nginx looks for sockets that are open already, as after a change of its program.

    It uses those whose addresses its configuration has, and closes the others.
    """
    return {"NGINX": "".join(f"{number};" for number in descriptors)} if descriptors else {}


# --- The workers ------------------------------------------------------------------------------------------------


@contextmanager
def _listening_socket(path: Path) -> Iterator[socket.socket]:
    if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
        raise CannotStart(
            f"The socket path {path} is over {LONGEST_SOCKET_PATH} bytes long. Set TMPDIR to a shorter path."
        )
    # Opened here and passed to the worker, so that requests wait instead of failing while a worker is replaced.
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(path))
        listening.listen(WORKER_BACKLOG)
        yield listening


def _worker(listening: socket.socket, manager: int, locks: Sequence[int]) -> "Program":
    module = "app.forge.server.nginx_worker"
    start = f"from {module} import serve_worker; serve_worker({listening.fileno()}, {manager})"
    descriptors = [listening.fileno(), manager, *locks]
    return Program("A worker", [sys.executable, "-c", start], signal.SIGTERM, descriptors)


# --- Starting, watching, stopping -------------------------------------------------------------------------------


class Program:
    """A program that runs in the foreground, and is restarted if it is killed."""

    def __init__(
        self,
        name: str,
        command: list[str],
        stop_signal: signal.Signals,
        descriptors: Sequence[int] = (),
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.name = name
        self.command = command
        self.stop_signal = stop_signal
        self.descriptors = descriptors
        self.variables = variables

    def start(self) -> None:
        """Start the program in a new process group, which Ctrl-C at the terminal does not reach."""
        # If this process is killed, the kernel sends the stop signal in its place.
        self.process = subprocess.Popen(  # noqa: S603
            self.command,
            env={**os.environ, **self.variables},
            pass_fds=self.descriptors,
            start_new_session=True,
            preexec_fn=signal_after_parent(self.stop_signal),  # noqa: PLW1509 (this process has no threads)
        )

    def restart_if_killed(self) -> None:
        """Restart a killed program. Raises `CannotStart` if it exited by itself, because it would do so again."""
        code = self.process.poll()
        if code is None:
            return
        if code >= 0:
            raise CannotStart(f"{self.name} ended with exit code {code}, so the service stops.")
        logger.error("%s (pid %d) was killed by signal %d.", self.name, self.process.pid, -code)
        # Its child processes would keep running and hold the port.
        self._kill_group()
        mark_process_dead(self.process.pid)  # type: ignore[no-untyped-call]
        self.start()

    def ask_to_stop(self) -> None:
        """Ask the program to finish its requests and stop."""
        if self.process.poll() is None:
            self.process.send_signal(self.stop_signal)

    def wait_or_kill(self, seconds: float) -> None:
        """Wait until the program has stopped, and kill it after this time."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            logger.error("%s (pid %d) did not stop in time and was killed.", self.name, self.process.pid)
        self._kill_group()
        self.process.wait()

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)


def _run(
    nginx: Program, workers: list[Program], stop_seconds: float, fault_of_reload: Callable[[], str | None]
) -> None:
    received: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda signal_number, _: received.append(signal_number))
    with ExitStack() as stack:
        # Stopped in reverse order: first Nginx, then all workers at once, which finish the accepted requests.
        for worker in workers:
            worker.start()
            stack.callback(worker.wait_or_kill, stop_seconds)
        for worker in workers:
            stack.callback(worker.ask_to_stop)
        nginx.start()
        stack.callback(nginx.wait_or_kill, stop_seconds)
        stack.callback(nginx.ask_to_stop)
        while not {signal.SIGTERM, signal.SIGINT} & set(received):
            if signal.SIGHUP in received:
                received.remove(signal.SIGHUP)
                _reload(nginx, fault_of_reload())
            for program in (nginx, *workers):
                program.restart_if_killed()
            time.sleep(WATCH_INTERVAL_SECONDS)


def _reload(nginx: Program, fault: str | None) -> None:
    if fault is None:
        nginx.process.send_signal(signal.SIGHUP)
    else:
        logger.error("Nginx keeps its certificate: %s", fault)
