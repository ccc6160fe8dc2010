"""Nginx's configuration: the files of deploy/nginx with the settings filled in."""

import logging
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, NamedTuple

from app.forge.server.settings import listed

if TYPE_CHECKING:
    from app.settings import Settings

logger = logging.getLogger(__name__)

DEPLOYMENT = Path(__file__).parents[3] / "deploy/nginx"
WORKER_BACKLOG = 2_048
HTTPS_PORT = 443
# Since then, `http2` is a separate directive: https://nginx.org/en/docs/http/ngx_http_v2_module.html#http2
HTTP2_DIRECTIVE_SINCE = (1, 25, 1)
# Since then, idle connections can outlive a reload for a while: a client may be sending a request on them.
# https://nginx.org/en/docs/http/ngx_http_core_module.html#keepalive_min_timeout
DRAIN_SINCE = (1, 27, 4)
DRAIN_SECONDS = 1

Values = dict[str, object]


class CannotStart(SystemExit):
    """The service cannot start. The message has the reason and the next step."""


class Nginx(NamedTuple):
    """An installed Nginx: its path, version, and the modules of deploy/nginx/modules that it can load."""

    path: str
    version: tuple[int, ...]
    modules: tuple[Path, ...]


def find_nginx(wanted: str) -> Nginx:
    """Return the Nginx of this path or on PATH. Raises `CannotStart` if it is not installed."""
    # On Debian it is in a directory that only root has on PATH.
    found = shutil.which(wanted, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if found is None:
        raise CannotStart(
            f"{wanted!r} is not on PATH. Install Nginx (Debian: apt-get install nginx, macOS: brew install "
            f"nginx), or set NGINX_PATH to its path."
        )
    build = subprocess.run([found, "-V"], capture_output=True, text=True, check=True).stderr  # noqa: S603
    version = re.search(r"nginx version: [^/]*/([0-9.]+)", build)
    numbers = tuple(map(int, version[1].split("."))) if version else ()
    return Nginx(found, numbers, tuple(_available_modules(build)))


def _available_modules(build: str) -> Iterable[Path]:
    folder = re.search(r"--modules-path=(\S+)", build)
    for wanted in sorted(path.stem for path in DEPLOYMENT.glob("modules/*.conf")):
        module = Path(folder[1]) / f"{wanted}.so" if folder else None
        is_available = module is not None and module.is_file()
        logger.info("Nginx %s %s.", "uses" if is_available else "lacks", wanted)
        if module is not None and is_available:
            yield module


def write_configuration(settings: "Settings", nginx: Nginx, runtime: Path) -> list[str]:
    """Write nginx.conf to the runtime directory. Return the command that starts Nginx with it.

    Raises `CannotStart` if Nginx rejects it.
    """
    configuration = runtime / "nginx.conf"
    configuration.write_text(nginx_configuration(settings, nginx, runtime))
    command = [nginx.path, "-p", str(runtime), "-c", str(configuration), "-e", "stderr"]
    checked = subprocess.run([*command, "-t", "-q"], capture_output=True, text=True, check=False)  # noqa: S603
    if checked.returncode != 0:
        raise CannotStart(f"Nginx refuses its configuration, {DEPLOYMENT / 'nginx.conf'}:\n{checked.stderr}")
    return command


def nginx_configuration(settings: "Settings", nginx: Nginx, runtime: Path) -> str:
    """Return deploy/nginx/nginx.conf with its values filled in."""
    proxies = _networks(settings.forwarded_allow_ips)
    names = listed(settings.server_names)
    values: Values = {
        "MAIN": _lines([*_user(), *(f'load_module "{module}";' for module in nginx.modules)]),
        "WORKERS": settings.workers,
        "RUNTIME": runtime,
        "DEPLOYMENT": DEPLOYMENT,
        "GRACEFUL_TIMEOUT_SECONDS": settings.graceful_timeout_seconds,
        "KEEP_ALIVE_SECONDS": settings.keep_alive_seconds,
        "DRAIN": f"keepalive_min_timeout {DRAIN_SECONDS}s;" if nginx.version >= DRAIN_SINCE else "",
        "MAX_BODY_BYTES": settings.max_body_bytes,
        "REAL_IP": _lines(f"set_real_ip_from {network};" for network in proxies),
        "TRUSTED_PROXIES": _lines(f"{network} 1;" for network in proxies),
        "MODULES": _lines(f'include "{DEPLOYMENT}/modules/{module.stem}.conf";' for module in nginx.modules),
        "UPSTREAM_SERVERS": _lines(
            # The socket accepts connections while its worker is replaced, so no server is ever marked as failed.
            f'server "unix:{runtime}/worker-{number}.sock" max_fails=0;'
            for number in range(settings.workers)
        ),
        "ACCESS_LOG": "/dev/stderr json" if settings.access_log else "off",
        "HOSTS": _lines([f"{name} 1;" for name in names] + [f"default {0 if names else 1};"]),
        "INTERNAL": _lines(f"allow {network};" for network in _networks(settings.internal_networks)),
        "HSTS_SECONDS": settings.hsts_seconds,
    }
    values |= _listeners(settings, nginx) | _limits(settings) | _micro_cache(settings, runtime)
    return _filled("nginx.conf", values)


def _listeners(settings: "Settings", nginx: Nginx) -> Values:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    listen = f"{host}:{settings.port} backlog={WORKER_BACKLOG}"
    https = _https_origin(settings)
    problem = _filled("problem.conf", {"DEPLOYMENT": DEPLOYMENT})
    values: Values = {"LISTEN": listen, "HTTPS": https, "PROBLEM": problem, "TLS": "", "REDIRECT": ""}
    if settings.tls_certificate is None or settings.tls_certificate_key is None:
        return values
    has_directive = nginx.version >= HTTP2_DIRECTIVE_SINCE
    values["LISTEN"] = f"{listen} ssl" if has_directive else f"{listen} ssl http2"
    values["TLS"] = _lines(
        [
            f'ssl_certificate "{settings.tls_certificate.absolute()}";',
            f'ssl_certificate_key "{settings.tls_certificate_key.absolute()}";',
            f'include "{DEPLOYMENT}/tls.conf";',
            "http2 on;" if has_directive else "",
        ]
    )
    if settings.http_port is not None:
        http: Values = {"HTTP_LISTEN": f"{host}:{settings.http_port}", "HTTPS": https, "PROBLEM": problem}
        values["REDIRECT"] = _filled("redirect.conf", http)
    return values


def _limits(settings: "Settings") -> Values:
    zones, limits = [], []
    if settings.rate_limit_per_second:
        zones.append(
            f"limit_req_zone $binary_remote_addr zone=requests:10m rate={settings.rate_limit_per_second}r/s;"
        )
        limits.append(f"limit_req zone=requests burst={settings.rate_limit_burst} nodelay;")
    if settings.connection_limit:
        zones.append("limit_conn_zone $binary_remote_addr zone=connections:10m;")
        limits.append(f"limit_conn connections {settings.connection_limit};")
    return {"LIMIT_ZONES": _lines(zones), "LIMITS": _lines(limits)}


def _micro_cache(settings: "Settings", runtime: Path) -> Values:
    if not settings.micro_cache_seconds:
        return {"CACHE_ZONE": "", "CACHE": ""}
    zone = f'proxy_cache_path "{runtime}/cache" keys_zone=responses:10m max_size=100m use_temp_path=off;'
    return {"CACHE_ZONE": zone, "CACHE": _filled("micro_cache.conf", {"DEPLOYMENT": DEPLOYMENT})}


def _https_origin(settings: "Settings") -> str:
    """Return the origin that plain HTTP is redirected to: that of PUBLIC_URL, or the requested host and PORT."""
    if settings.public_url is not None:
        return re.sub(r"^https?://([^/]*).*", r"https://\1", settings.public_url)
    return "https://$host" if settings.port == HTTPS_PORT else f"https://$host:{settings.port}"


def _networks(value: str) -> list[str]:
    networks = listed(value)
    return ["0.0.0.0/0", "::/0"] if networks == ["*"] else networks


def _user() -> list[str]:
    # If started as root, Nginx would switch to an account that cannot open the workers' sockets.
    return [f"user {pwd.getpwuid(0).pw_name};"] if os.geteuid() == 0 else []


def _filled(name: str, values: Values) -> str:
    # Nginx's own variables, such as $host, are left in place.
    return Template((DEPLOYMENT / name).read_text()).safe_substitute(values)


def _lines(directives: Iterable[str]) -> str:
    return "\n".join(directives)
