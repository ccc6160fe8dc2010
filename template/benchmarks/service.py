"""The service as it runs in production, `python -m app`, for the time of a measurement."""

import http.client
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import BinaryIO, NamedTuple

from benchmarks import PROJECT
from benchmarks.errors import CannotMeasure
from benchmarks.processes import cpu_seconds, end

HOST = "127.0.0.1"
START_SECONDS = 30
STOP_SECONDS = 10


class Answer(NamedTuple):
    """What the service answered."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


class Service(NamedTuple):
    """A service that runs on this machine."""

    pid: int
    port: int

    def cpu_seconds(self) -> float | None:
        """Return the CPU time of all its processes so far, or None where the system does not show it."""
        return cpu_seconds(self.pid)

    def ask(self, method: str, path: str, body: bytes | None = None) -> Answer:
        """Return the answer to one request. Raises `OSError` or `HTTPException` where there is none."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=30)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()


def available_port(wanted: int | None) -> int:
    """Return the port, or one that nobody listens on where none is wanted. Raises `CannotMeasure`."""
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((HOST, wanted or 0))
        except OSError as error:
            raise CannotMeasure(f"Port {wanted} cannot be used: {error.strerror}. Choose another.") from None
        port: int = listening.getsockname()[1]
        return port


@contextmanager
def running_service(variables: Mapping[str, str], port: int) -> Iterator[Service]:
    """Yield the service, ready to answer; it has ended afterwards. Raises `CannotMeasure`."""
    environment = {**os.environ, **variables, "HOST": HOST, "PORT": str(port)}
    command = [sys.executable, "-m", "app"]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command,
            cwd=PROJECT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # Ctrl-C is for the measurement, which then ends the service.
            start_new_session=True,
        )
        try:
            service = Service(process.pid, port)
            _wait_until_ready(service, process, log)
            yield service
        finally:
            end(process, STOP_SECONDS)


def _wait_until_ready(service: Service, process: subprocess.Popen[bytes], log: BinaryIO) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise CannotMeasure(f"The service does not start: {_last_line(log)}")
        with suppress(OSError, http.client.HTTPException):
            if service.ask("GET", "/health/ready").status == http.HTTPStatus.OK:
                return
        time.sleep(0.05)
    raise CannotMeasure(f"The service is not ready after {START_SECONDS} s: {_last_line(log)}")


def _last_line(log: BinaryIO) -> str:
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it wrote nothing to its log."
