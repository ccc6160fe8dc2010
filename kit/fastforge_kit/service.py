"""The service as it runs in production, `python -m app`, during a measurement."""

import http.client
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from fastforge_kit.credentials import credentials_for
from fastforge_kit.errors import CannotMeasure
from fastforge_kit.processes import cpu_seconds, end
from fastforge_kit.project import ENVIRONMENT

HOST = "127.0.0.1"
START_SECONDS = 30
RECOVERY_SECONDS = 3
STOP_SECONDS = 10
SEE = "Fix that; `python -m app` shows the whole log."


class Response(NamedTuple):
    """A response of the service."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def problem_member(self, name: str) -> str | None:
        """Return a member of the problem in the body, or None if the body is not a problem that has it."""
        try:
            return str(json.loads(self.body)[name])
        except (ValueError, KeyError, TypeError):
            return None


class Service(NamedTuple):
    """A service that runs on this machine."""

    pid: int
    port: int
    # What requests send as a bearer token, if the service asks for that.
    credentials: str = ""

    def cpu_seconds(self) -> float | None:
        """Return the CPU time of all its processes so far, or None if the system does not show it."""
        return cpu_seconds(self.pid)

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Response:
        """Return the response to one request. Raises `OSError` or `HTTPException` if there is none."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=30)
        fields = {"Content-Type": "application/json"} if body else {}
        if self.credentials:
            fields["Authorization"] = f"Bearer {self.credentials}"
        try:
            connection.request(method, path, body, {**fields, **(headers or {})})
            response = connection.getresponse()
            return Response(response.status, response.headers, response.read())
        finally:
            connection.close()

    def authorized(self, request: str) -> str:
        """Return an HTTP request with the credentials."""
        header = f"Authorization: Bearer {self.credentials}\r\n" if self.credentials else ""
        return request.replace("\r\n", f"\r\n{header}", 1)


def expect(status: int, response: Response) -> Response:
    """Return the response if it has this status. Raises `CannotMeasure`."""
    if response.status != status:
        raise CannotMeasure(
            f"The service responds with {response.status} to a plain request: {response.body[:200]!r}.",
            "See its log: python -m app",
        )
    return response


def available_port(wanted: int | None) -> int:
    """Return the port, or any free one for None. Raises `CannotMeasure`."""
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((HOST, wanted or 0))
        except OSError as error:
            raise CannotMeasure(
                f"Port {wanted} cannot be used: {error.strerror}.", "Choose another, or leave --port out."
            ) from None
        port: int = listening.getsockname()[1]
        return port


class Start(NamedTuple):
    """The service of a project to start, on a port, with these variables."""

    project: Path
    port: int
    variables: Mapping[str, str]


@contextmanager
def running_services(*starts: Start) -> Iterator[list[Service]]:
    """Yield the services when they are ready, and end them afterwards. Raises `CannotMeasure`."""
    with ExitStack() as stack:
        # All start before any is awaited: starting takes most of the time.
        started = [stack.enter_context(_started(start)) for start in starts]
        for service, process, log in started:
            _wait_until_ready(service, process, log)
        yield [
            service._replace(credentials=credentials_for(start.project, _environment(start)))
            for start, (service, _, _) in zip(starts, started, strict=True)
        ]


@contextmanager
def _started(start: Start) -> Iterator[tuple[Service, subprocess.Popen[bytes], BinaryIO]]:
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "app"],
            cwd=start.project,
            env=_environment(start),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # Only the measurement handles Ctrl-C; it then stops the service.
            start_new_session=True,
        )
        try:
            yield Service(process.pid, start.port), process, log
        finally:
            end(process, STOP_SECONDS)


def _environment(start: Start) -> dict[str, str]:
    # The service must not find the kit.
    own = {name: value for name, value in ENVIRONMENT.items() if name != "PYTHONPATH"}
    # Workloads are read from the OpenAPI document, which some do not publish.
    fixed = {"DOCS_ENABLED": "true", "HOST": HOST, "PORT": str(start.port)}
    return {**own, **start.variables, **fixed}


def _wait_until_ready(service: Service, process: subprocess.Popen[bytes], log: BinaryIO) -> None:
    deadline = time.monotonic() + START_SECONDS
    refusal = ""
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise CannotMeasure(f"The service does not start: {_last_words(log)}", SEE)
        with suppress(OSError, http.client.HTTPException):
            response = service.request("GET", "/health/ready")
            if response.status == http.HTTPStatus.OK:
                return
            if not refusal and (refusal := response.problem_member("detail") or ""):
                # It serves, but lacks something that is unlikely to appear soon.
                deadline = time.monotonic() + RECOVERY_SECONDS
        time.sleep(0.05)
    raise CannotMeasure(f"The service does not get ready: {refusal or _last_words(log)}", SEE)


def _last_words(log: BinaryIO) -> str:
    """Return the last error in the log, else its last line."""
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines() or ["it wrote nothing to its log."]
    errors = [text for line in lines if (text := _logged_error(line))]
    return errors[-1] if errors else lines[-1]


def _logged_error(line: str) -> str:
    """Return the error in a line of the JSON log, or nothing if the line is not an error."""
    try:
        record = json.loads(line)
    except ValueError:
        return ""
    if not isinstance(record, dict) or record.get("level") not in {"ERROR", "CRITICAL"}:
        return ""
    exception = str(record.get("exception", "")).strip().splitlines()
    return exception[-1] if exception else str(record.get("message"))
