"""Parsing of REDIS_URL. Every option is either applied or rejected by name."""

import re
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from redis.asyncio.connection import ConnectionPool, SSLConnection, parse_url
from redis.exceptions import RedisError

SCHEMES = ("redis", "rediss", "unix")
OPTIONS = frozenset({"client_name", "db", "password", "socket_keepalive", "username"})
TLS_OPTIONS = frozenset(
    {
        "ssl_ca_certs",
        "ssl_ca_data",
        "ssl_ca_path",
        "ssl_cert_reqs",
        "ssl_certfile",
        "ssl_check_hostname",
        "ssl_ciphers",
        "ssl_exclude_verify_flags",
        "ssl_include_verify_flags",
        "ssl_keyfile",
        "ssl_min_version",
        "ssl_password",
    }
)
EXAMPLE = "Use redis://host:6379/0, rediss:// for TLS, or unix:///run/redis.sock?db=0"


def connection_options(url: str) -> dict[str, Any]:
    """Return redis-py's connection options, or raise `ValueError` with a message that contains no secret."""
    scheme, _, rest = url.partition("://")
    if scheme not in SCHEMES:
        raise ValueError(f"it is not the URL of a Redis server. {EXAMPLE}")
    # Checked before any message quotes the URL: text after an unescaped character may belong to a password.
    _, *behind = re.split("[/?#]", rest, maxsplit=1)
    if scheme != "unix" and "@" in "".join(behind):
        raise ValueError("special characters in the user name and the password must be percent-encoded")
    try:
        options: dict[str, Any] | None = _checked(url)
    except (RedisError, TypeError, ValueError):
        # The error message may contain values, so it is dropped. The checks below name the option at fault.
        options = None
    named = parse_qsl(rest.partition("#")[0].partition("?")[2], keep_blank_values=True)
    _check_options(named, scheme)
    if options is None:
        raise ValueError(f"its host, its port or its options together are not valid. {EXAMPLE}")
    _check_database(urlsplit(url).path, dict(named).get("db", ""), scheme)
    return options


def _checked(url: str) -> dict[str, Any]:
    options: dict[str, Any] = dict(parse_url(url))
    connection = ConnectionPool(**options).make_connection()  # type: ignore[no-untyped-call]
    if isinstance(connection, SSLConnection):
        # A missing file may be on a volume that is mounted later.
        with suppress(OSError):
            connection.ssl_context.get()
    return options


def _check_options(named: list[tuple[str, str]], scheme: str) -> None:
    known = OPTIONS | TLS_OPTIONS if scheme == "rediss" else OPTIONS
    for name, value in named:
        if name in TLS_OPTIONS - known:
            raise ValueError(f"the option {name!r} needs TLS: a URL that starts with rediss://")
        if name not in known:
            raise ValueError(f"the option {name!r} is not supported. Use {', '.join(sorted(known))}")
        if [each for each, _ in named].count(name) > 1:
            raise ValueError(f"the option {name!r} is given twice")
        try:
            _checked(f"{scheme}://localhost?{urlencode({name: value})}")
        except (RedisError, ValueError):
            raise ValueError(f"the value of the option {name!r} is not valid") from None


def _check_database(path: str, database: str, scheme: str) -> None:
    if scheme == "unix":
        if not path.strip("/"):
            raise ValueError(f"it names no socket. {EXAMPLE}")
    else:
        number = unquote(path).removeprefix("/")
        if number and database:
            raise ValueError("it names the database twice, in its path and as the option 'db'")
        database = database or number
    # redis-py treats any other path as database 0.
    if database and not (database.isascii() and database.isdigit()):
        raise ValueError("the database must be a number, as in redis://host:6379/0")
