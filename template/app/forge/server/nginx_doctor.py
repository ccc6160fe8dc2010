"""Checks of Nginx: its program, its certificate and its configuration."""

import os
import re
import resource
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from app.forge.doctor.findings import Context, Finding, Outcomes, finding_of
from app.forge.doctor.machine import check_open_files
from app.forge.server.nginx import DAY_SECONDS, LONGEST_SOCKET_PATH, RENEWAL_DAYS
from app.forge.server.nginx_certificate import Certificate, CertificateFault, check_certificate
from app.forge.server.nginx_configuration import DEPLOYMENT, CannotStart, find_nginx, write_configuration
from app.forge.server.settings import host_fault, listed

OPEN_FILES = re.compile(r"^worker_rlimit_nofile (\d+);", re.MULTILINE)
# As the service names its directory and the sockets in it.
SOCKET = "nginx-4294967295-xxxxxxxx/worker-999.sock"


def check_nginx(context: Context) -> Outcomes:
    """Yield the findings about Nginx."""
    settings = context.settings
    usable = True
    if settings.tls_certificate is not None and settings.tls_certificate_key is not None:
        try:
            certificate = check_certificate(settings.tls_certificate, settings.tls_certificate_key)
        except CertificateFault as fault:
            usable = False
            yield finding_of("certificate.unusable", "error", str(fault))
        else:
            yield from _check_certificate(
                certificate, settings.tls_certificate, listed(settings.server_names)
            )
    if len(os.fsencode(tempfile.gettempdir())) + 1 + len(SOCKET) > LONGEST_SOCKET_PATH:
        yield Finding(
            "server.socket_path",
            "error",
            f"TMPDIR is so long that a socket in it would have a path of over {LONGEST_SOCKET_PATH} bytes.",
            "Set TMPDIR to a shorter path.",
        )
    if found := OPEN_FILES.search((DEPLOYMENT / "nginx.conf").read_text("utf-8")):
        yield from _check_open_files(int(found[1]))
    if usable and host_fault(settings.host) is None:
        yield from _check_configuration(context)


def _check_open_files(needed: int) -> Outcomes:
    # Nginx raises its own limit up to the hard one.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        yield from check_open_files(needed)


def _check_certificate(certificate: Certificate, path: Path, names: list[str]) -> Outcomes:
    days = (certificate.ends_at - time.time()) / DAY_SECONDS
    if days < RENEWAL_DAYS:
        yield Finding(
            "certificate.ends_soon",
            "warning",
            f"TLS_CERTIFICATE={path} expires in {days:.0f} days.",
            "Renew it, then send SIGHUP to the service.",
        )
    for name in names:
        if not certificate.covers(name):
            yield Finding(
                "certificate.wrong_name",
                "warning",
                f"TLS_CERTIFICATE={path} is not for {name} in SERVER_NAMES, so clients refuse it.",
                "Issue it for all of SERVER_NAMES, or correct them.",
            )


def _check_configuration(context: Context) -> Outcomes:
    settings = context.settings
    try:
        nginx = find_nginx(settings.nginx_path)
    except CannotStart as error:
        yield finding_of("server.nginx_missing", "error", str(error))
        return
    except (OSError, subprocess.CalledProcessError) as error:
        yield Finding(
            "server.nginx_missing",
            "error",
            f"NGINX_PATH={settings.nginx_path} cannot be run: {type(error).__name__}.",
            "Set NGINX_PATH to the path of Nginx, or unset it.",
        )
        return
    # Nginx binds what it checks, and the service may be running.
    free = {"port": _free_port(), "http_port": settings.http_port and _free_port()}
    with tempfile.TemporaryDirectory() as directory:
        try:
            write_configuration(settings.model_copy(update=free), nginx, Path(directory))
        except CannotStart as error:
            yield Finding(
                "server.nginx_configuration",
                "error",
                " ".join(str(error).replace(directory, "…").split()),
                "Correct the files in deploy/nginx, or restore them: git restore deploy/nginx",
            )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
