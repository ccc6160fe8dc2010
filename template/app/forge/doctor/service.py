"""Checks of the service itself: its app, its address, and what its workers need."""

import errno
import json
import os
import shutil
import socket
import ssl
import sys
from http.client import HTTPConnection, HTTPException, HTTPSConnection

from app.forge.doctor.findings import Context, Finding, Outcomes, described, finding_of
from app.forge.doctor.machine import MIB
from app.forge.server.metrics_directory import SHARED_MEMORY
from app.forge.server.settings import host_fault, usable_cpus

PROBE_SECONDS = 2.0
# More than the files in which a worker shares its metrics have with some hundred routes.
SHARED_BYTES_PER_WORKER = 2 * MIB
# More workers than this per CPU only cost memory.
WORKERS_PER_CPU = 4


def check_app(context: Context) -> Outcomes:
    """Yield a finding if the app cannot be created."""
    try:
        # Imported here, because the owner's modules may fail.
        from app.main import create_app

        create_app(context.settings)
    except (Exception, SystemExit) as error:
        yield Finding(
            "service.app",
            "error",
            f"The app cannot be created: {described(error)}.",
            "See the whole error: python -c 'from app.main import create_app; create_app()'",
        )


def check_address(context: Context) -> Outcomes:
    """Yield the findings about HOST, PORT and WORKERS."""
    settings = context.settings
    fault = host_fault(settings.host)
    if fault:
        yield finding_of("server.host", "error", fault)
    elif "port" not in context.replaced:
        yield from _check_port(settings.host, settings.port)
    cpus = usable_cpus()
    if settings.workers > WORKERS_PER_CPU * cpus:
        yield Finding(
            "server.workers",
            "warning",
            f"{settings.workers} workers share {cpus} CPUs, so they compete for them and take memory.",
            "Unset WORKERS: the default is one for each CPU.",
        )
    yield from _check_shared_memory(settings.workers)


def _check_shared_memory(workers: int) -> Outcomes:
    if not SHARED_MEMORY.is_dir():
        return
    if not os.access(SHARED_MEMORY, os.W_OK):
        yield Finding(
            "memory.shared",
            "warning",
            f"{SHARED_MEMORY} is not writable, so workers share their metrics in files on a disk.",
            f"Let the user of the service write to {SHARED_MEMORY}.",
        )
        return
    free, needed = shutil.disk_usage(SHARED_MEMORY).free, workers * SHARED_BYTES_PER_WORKER
    if free < needed:
        yield Finding(
            "memory.shared",
            "error",
            f"{SHARED_MEMORY} has {free // MIB} MiB free, and the metrics of {workers} workers need {needed // MIB} MiB.",
            "Lower WORKERS, or give the container more: docker run --shm-size, shm_size in compose.yaml.",
        )


def _check_port(host: str, port: int) -> Outcomes:
    error = _bind_error(host, port)
    if error is None or (error.errno == errno.EADDRINUSE and _is_this_service(host, port)):
        return
    if error.errno == errno.EADDRINUSE:
        fix = f"Stop the other program (ss -ltnp 'sport = :{port}' shows it), or set another PORT."
        yield Finding("server.port", "error", f"Another program listens on PORT={port}.", fix)
    else:
        fix = "Set a PORT above 1023, or let the service bind it: AmbientCapabilities=CAP_NET_BIND_SERVICE of systemd."
        yield Finding(
            "server.port", "error", f"The service cannot listen on PORT={port}: {error.strerror}.", fix
        )


def _bind_error(host: str, port: int) -> OSError | None:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        if sys.platform != "win32":
            # As servers do: connections that were just closed do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            return error
    return None


def _is_this_service(host: str, port: int) -> bool:
    """Return True if what listens there responds as a service of FastForge does."""
    local = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 (an address to connect to)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connections = (
        HTTPConnection(local, port, timeout=PROBE_SECONDS),
        HTTPSConnection(local, port, timeout=PROBE_SECONDS, context=context),
    )
    return any(_is_alive(connection) for connection in connections)


def _is_alive(connection: HTTPConnection) -> bool:
    try:
        connection.request("GET", "/health/live")
        response = connection.getresponse()
        return response.status == 200 and json.loads(response.read()) == {"status": "alive"}
    except (OSError, HTTPException, ValueError):
        return False
    finally:
        connection.close()
