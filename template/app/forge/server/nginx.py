"""Nginx in front of one Uvicorn worker per CPU. Each has its own Unix socket, so Nginx can choose the least busy.

One process starts, monitors and stops them all. SIGTERM finishes accepted requests and stops. SIGHUP makes Nginx
reload its configuration and certificates. A process that is killed is restarted.
"""

import logging
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from prometheus_client.multiprocess import mark_process_dead

from app.forge.environment import Environment
from app.forge.observability.logs import configure_logging
from app.forge.server.metrics_directory import metrics_directory
from app.forge.server.runtime_directory import hold, runtime_directory
from app.forge.server.worker import (
    CLOSING_SECONDS,
    closed,
    create_app,
    end_after,
    pipe_to_workers,
    signal_after_parent,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from app.settings import Settings

logger = logging.getLogger(__name__)

DEPLOYMENT = Path(__file__).parents[3] / "deploy/nginx"

# Nginx closes idle connections to the workers after 60 seconds (nginx.conf), so workers must keep them longer.
WORKER_KEEP_ALIVE_SECONDS = 75
WORKER_BACKLOG = 2_048
# The length of sockaddr_un.sun_path without its closing NUL: man 7 unix.
LONGEST_SOCKET_PATH = 107
WATCH_INTERVAL_SECONDS = 0.2


class NginxSettings(Environment):
    """The path of Nginx."""

    nginx_path: str = "nginx"


class CannotStart(SystemExit):
    """The service cannot start. The message has the reason and the next step."""


def serve(settings: "Settings") -> None:
    """Serve until SIGTERM or Ctrl-C. Raises `CannotStart`."""
    configure_logging(settings.log_level)
    nginx = find_nginx()
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
        configuration = runtime / "nginx.conf"
        configuration.write_text(nginx_configuration(settings, nginx, runtime))
        command = [nginx, "-p", str(runtime), "-c", str(configuration), "-e", "stderr"]
        _check(command)
        _run(
            Program("Nginx", command, signal.SIGQUIT, locks),
            [_worker(listening, manager_pipe[0], locks) for listening in sockets],
            settings.graceful_timeout_seconds + CLOSING_SECONDS,
        )


# --- Nginx and its configuration --------------------------------------------------------------------------------


def find_nginx() -> str:
    """Return the path of Nginx: $NGINX_PATH, or the one on PATH. Raises `CannotStart` if it is not installed."""
    # Not $NGINX: Nginx uses that variable to pass its sockets to its successor.
    wanted = NginxSettings().nginx_path
    # On Debian it is in a directory that only root has on PATH.
    found = shutil.which(wanted, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if found is None:
        raise CannotStart(
            f"{wanted!r} is not on PATH. Install Nginx (Debian: apt-get install nginx, macOS: brew install "
            f"nginx), or set NGINX_PATH to its path."
        )
    return found


def nginx_configuration(settings: "Settings", nginx: str, runtime: Path) -> str:
    """Return deploy/nginx/nginx.conf with its values filled in."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    proxies = [proxy for proxy in settings.forwarded_allow_ips.split(",") if proxy]
    networks = ["0.0.0.0/0", "::/0"] if proxies == ["*"] else proxies
    modules = _available_modules(nginx)
    values = {
        "MAIN": _lines([*_user(), *(f'load_module "{module}";' for module in modules)]),
        "WORKERS": settings.workers,
        "RUNTIME": runtime,
        "DEPLOYMENT": DEPLOYMENT,
        "GRACEFUL_TIMEOUT_SECONDS": settings.graceful_timeout_seconds,
        "KEEP_ALIVE_SECONDS": settings.keep_alive_seconds,
        "MAX_BODY_BYTES": settings.max_body_bytes,
        "REAL_IP": _lines([f"set_real_ip_from {network};" for network in networks]),
        "TRUSTED_PROXIES": _lines([f"{network} 1;" for network in networks]),
        "MODULES": _lines([f'include "{DEPLOYMENT}/modules/{module.stem}.conf";' for module in modules]),
        "UPSTREAM_SERVERS": _lines(
            # The socket accepts connections while its worker is replaced, so no server is ever marked as failed.
            [
                f'server "unix:{runtime}/worker-{number}.sock" max_fails=0;'
                for number in range(settings.workers)
            ]
        ),
        "ACCESS_LOG": "/dev/stderr json if=$answered_here" if settings.access_log else "off",
        "LISTEN": f"{host}:{settings.port} backlog={WORKER_BACKLOG}",
    }
    # Nginx's own variables, such as $host, are left in place.
    return Template((DEPLOYMENT / "nginx.conf").read_text()).safe_substitute(values)


def _lines(directives: Sequence[str]) -> str:
    return "\n".join(directives)


def _user() -> list[str]:
    # If started as root, Nginx would switch to an account that cannot open the workers' sockets.
    return [f"user {pwd.getpwuid(0).pw_name};"] if os.geteuid() == 0 else []


def _available_modules(nginx: str) -> list[Path]:
    """Return the modules from deploy/nginx/modules that this Nginx can load."""
    wanted = sorted(path.stem for path in DEPLOYMENT.glob("modules/*.conf"))
    build = subprocess.run([nginx, "-V"], capture_output=True, text=True, check=True).stderr  # noqa: S603
    folder = re.search(r"--modules-path=(\S+)", build)
    candidates = [Path(folder[1]) / f"{module}.so" for module in wanted] if folder else []
    available = [module for module in candidates if module.is_file()]
    for module in wanted:
        logger.info(
            "Nginx %s %s.", "uses" if module in {path.stem for path in available} else "lacks", module
        )
    return available


def _check(command: list[str]) -> None:
    checked = subprocess.run([*command, "-t", "-q"], capture_output=True, text=True, check=False)  # noqa: S603
    if checked.returncode != 0:
        raise CannotStart(f"Nginx refuses its configuration, {DEPLOYMENT / 'nginx.conf'}:\n{checked.stderr}")


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
    start = f"from {__name__} import serve_worker; serve_worker({listening.fileno()}, {manager})"
    descriptors = [listening.fileno(), manager, *locks]
    return Program("A worker", [sys.executable, "-c", start], signal.SIGTERM, descriptors)


def serve_worker(descriptor: int, manager: int) -> None:
    """Serve requests from Nginx on this socket, with the settings from the environment. Does not return.

    `manager` is the end of a pipe that closes when the process that started this one exits.
    """
    # Imported lazily, to save memory in the managing process.
    import uvicorn

    from app.settings import Settings

    configure_logging()
    settings = Settings()
    end_after(closed(manager), settings.graceful_timeout_seconds)
    uvicorn.run(
        "app.forge.server.nginx:create_unbuffered_app",
        factory=True,
        fd=descriptor,
        backlog=WORKER_BACKLOG,
        http="app.forge.server.protocol:HttpProtocol",
        access_log=False,
        log_config=None,
        # Only Nginx can reach the socket.
        forwarded_allow_ips="*",
        timeout_keep_alive=WORKER_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=settings.graceful_timeout_seconds,
    )


def create_unbuffered_app() -> "ASGIApp":
    """Return the app of a worker. Its streams pass through Nginx chunk by chunk."""
    app = create_app()

    async def unbuffered(scope: "Scope", receive: "Receive", send: "Send") -> None:
        def send_unbuffered(message: "Message") -> "Awaitable[None]":
            if message["type"] == "http.response.start":
                _let_streams_pass(message)
            return send(message)

        await app(scope, receive, send_unbuffered)

    return unbuffered


def _let_streams_pass(start: "Message") -> None:
    """Disable buffering in Nginx for responses of unknown length; it stays on for others, to absorb slow clients."""
    # https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_buffering
    names = {name for name, _ in start["headers"]}
    if b"content-length" not in names and b"x-accel-buffering" not in names:
        start["headers"] = [*start["headers"], (b"x-accel-buffering", b"no")]


# --- Starting, watching, stopping -------------------------------------------------------------------------------


class Program:
    """A program that runs in the foreground, and is restarted if it is killed."""

    def __init__(
        self, name: str, command: list[str], stop_signal: signal.Signals, descriptors: Sequence[int] = ()
    ) -> None:
        self.name = name
        self.command = command
        self.stop_signal = stop_signal
        self.descriptors = descriptors

    def start(self) -> None:
        """Start the program in a new process group, which Ctrl-C at the terminal does not reach."""
        # If this process is killed, the kernel sends the stop signal in its place.
        self.process = subprocess.Popen(  # noqa: S603
            self.command,
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


def _run(nginx: Program, workers: list[Program], stop_seconds: float) -> None:
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
                nginx.process.send_signal(signal.SIGHUP)
            for program in (nginx, *workers):
                program.restart_if_killed()
            time.sleep(WATCH_INTERVAL_SECONDS)
