"""The probe reports whether a service is ready, and why not."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar

import pytest

from app.forge.probe import PATH, main

AXES: tuple[str, ...] = ()


class Ready(BaseHTTPRequestHandler):
    """Responds with the next of `statuses`; the last one is repeated."""

    statuses: ClassVar[list[int]]

    def do_GET(self) -> None:
        """Respond to the probe."""
        left = self.statuses
        status = left.pop(0) if len(left) > 1 else left[0]
        self.send_response(status if self.path == PATH else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Write nothing."""


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Ready]]:
    class Handler(Ready):
        statuses: ClassVar = [200]

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("HOST", "0.0.0.0")
        monkeypatch.setenv("PORT", str(server.server_port))
        yield Handler
        server.shutdown()


@pytest.mark.usefixtures("service")
def test_a_ready_service_is_reported_by_exit_code_0() -> None:
    main([])


def test_a_service_that_is_not_ready_is_reported_with_its_status(service: type[Ready]) -> None:
    service.statuses = [503]
    with pytest.raises(SystemExit, match=r"responds with 503"):
        main([])


def test_it_waits_for_a_service_that_is_starting(service: type[Ready]) -> None:
    service.statuses = [503, 503, 200]
    main(["60"])


def test_a_service_that_does_not_run_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOST", "127.0.0.1")
    # The discard service, which nothing provides.
    monkeypatch.setenv("PORT", "9")
    with pytest.raises(SystemExit, match=r"127\.0\.0\.1, port 9, does not respond"):
        main([])


@pytest.mark.usefixtures("service")
def test_it_imports_no_package() -> None:
    """It runs every few seconds, so it has to be cheap."""
    code = (
        "import sys; from app.forge.probe import main; main([]); "
        "print({name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names - {'app', '__main__'})"
    )
    command = [sys.executable, "-S", "-c", code]
    done = subprocess.run(command, env={**os.environ}, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
