"""Checks of settings that are fine on a developer's machine, and not in production."""

import os
import re
import stat
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from app.forge.doctor.findings import Context, Finding, Outcomes
from app.forge.environment import ENV_FILE
from app.forge.server.settings import listed

DEBUGGING = ("PYTHONASYNCIODEBUG", "PYTHONDEVMODE", "PYTHONTRACEMALLOC", "PYTHONPROFILEIMPORTTIME")
EVERYONE = {"*", "0.0.0.0/0", "::/0"}
# Passwords of examples and of servers that were just installed.
COMMON = {"admin", "changeme", "changethis", "example", "guest", "password", "root", "secret", "test"}
EXAMPLE = Path(".env.example")
ASSIGNED = re.compile(r"^#? ?([A-Z_]+)=(\S+)$", re.MULTILINE)


def is_reachable(host: str) -> bool:
    """Return True if other machines may reach a service on this host."""
    try:
        return not ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"


def check_production(context: Context) -> Outcomes:
    """Yield the findings about debugging, secrets, public pages and proxies; none in development."""
    if not context.is_production:
        return
    values: dict[str, Any] = dict(context.settings)
    yield from _check_debugging(values)
    yield from _check_secrets(values)
    yield from _check_pages(values)
    if EVERYONE & set(listed(values.get("forwarded_allow_ips", ""))):
        yield Finding(
            "proxies.everyone",
            "warning",
            "FORWARDED_ALLOW_IPS trusts every address, so each client can choose the address that is logged and limited.",
            "Set it to the addresses or networks of your proxies.",
        )


def _check_debugging(values: dict[str, Any]) -> Outcomes:
    for name in DEBUGGING:
        if os.environ.get(name, "0") not in ("", "0"):
            yield Finding(
                "production.python_debug",
                "warning",
                f"{name} is set, which makes Python slow.",
                f"Unset {name}.",
            )
    if values.get("log_level") == "DEBUG":
        yield Finding(
            "production.log_level",
            "warning",
            "LOG_LEVEL is DEBUG, so libraries log much, and possibly contents of requests.",
            "Set LOG_LEVEL=INFO.",
        )
    if values.get("profile_secret") is not None:
        yield Finding(
            "production.profile_secret",
            "error",
            "PROFILE_SECRET is set, so who knows it can read the service's code and slow it down.",
            "Unset PROFILE_SECRET.",
        )


def _check_secrets(values: dict[str, Any]) -> Outcomes:
    examples = _examples()
    for name, value in values.items():
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if not isinstance(text, str) or not (isinstance(value, SecretStr) or name.endswith("_url")):
            continue
        password = _password(text) if name.endswith("_url") else text
        if password and (password.lower() in COMMON or password in examples or _is_user_name(password, text)):
            yield Finding(
                "production.default_secret",
                "error",
                f"{name.upper()} has the password of an example, which is public.",
                f"Choose a random one, change it at the server, and set {name.upper()}.",
            )
    yield from _check_permissions(Path(ENV_FILE))


def _examples() -> set[str]:
    if not EXAMPLE.is_file():
        return set()
    return set(_secrets_in(EXAMPLE.read_text("utf-8")))


def _secrets_in(text: str) -> Iterator[str]:
    for name, value in ASSIGNED.findall(text):
        password = _password(value) if name.endswith("_URL") else value
        if password and name.endswith(("_URL", "_SECRET")):
            yield password


def _password(url: str) -> str | None:
    try:
        password = urlsplit(url).password
    except ValueError:
        return None
    return unquote(password) if password else None


def _is_user_name(password: str, url: str) -> bool:
    return f"//{password}:{password}@" in unquote(url)


def _check_permissions(file: Path) -> Outcomes:
    if os.name == "posix" and file.is_file() and stat.S_IMODE(file.stat().st_mode) & stat.S_IROTH:
        yield Finding(
            "settings.permissions",
            "warning",
            f"Every user of this machine can read {file}, which may have passwords.",
            f"Run: chmod 640 {file}",
        )


def _check_pages(values: dict[str, Any]) -> Outcomes:
    # Behind Nginx, both are for some networks; with authentication, they may need a scope.
    networks = set(listed(values.get("internal_networks", "*")))
    for name, pages in (("docs", "/docs and /openapi.json"), ("metrics", "/metrics")):
        is_open = values.get(f"{name}_enabled") and values.get(f"{name}_scope") is None
        if is_open and networks & EVERYONE:
            yield Finding(
                f"production.{name}_open",
                "warning",
                f"{pages} can be read by every client that can reach the service.",
                _closing(name, values),
            )


def _closing(name: str, values: dict[str, Any]) -> str:
    ways = [f"Set {name.upper()}_ENABLED=false, or let a proxy refuse it."]
    if f"{name}_scope" in values:
        ways.append(f"Set {name.upper()}_SCOPE.")
    if "internal_networks" in values:
        ways.append("Set INTERNAL_NETWORKS to the networks of your operators.")
    return " Or: ".join(reversed(ways))
