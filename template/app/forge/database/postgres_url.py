"""DATABASE_URL, parsed in the same way for the service and its migrations.

Options are those of libpq: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS.
Each is honored, or refused by name when the service starts.
"""

import re
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from os import environ
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus, urlencode

import asyncpg

SCHEMES = ("postgresql", "postgres")
EXAMPLE = "postgresql://user:password@host:5432/name"
ENCODE = "In a user name or password / : @ ? and % are written as %2F, %3A, %40, %3F and %25."
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
CHOICES = {
    "sslmode": SSL_MODES,
    "sslnegotiation": ("postgres", "direct"),
    "target_session_attrs": ("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
    # asyncpg does not support these; values that request its behavior are accepted.
    "channel_binding": ("disable", "prefer"),
    "gssencmode": ("disable", "prefer"),
    "load_balance_hosts": ("disable",),
    "client_encoding": ("auto", "utf8", "UTF8", "utf-8", "UTF-8"),
}
# asyncpg reads these only from a URL.
TLS_OPTIONS = (
    "sslmode",
    "sslnegotiation",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "sslpassword",
    "sslcrl",
    "ssl_min_protocol_version",
    "ssl_max_protocol_version",
)
TLS_VERSIONS = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
OPTIONS = {
    *CHOICES,
    *TLS_OPTIONS,
    *("host", "port", "user", "password", "dbname", "passfile"),
    *("application_name", "options", "connect_timeout"),
}
HINTS = {
    "pgbouncer": "Set DATABASE_POOLER instead.",
    "prepared_statement_cache_size": "Set DATABASE_POOLER instead.",
    "statement_cache_size": "Set DATABASE_POOLER instead.",
    "pool_size": "Set DATABASE_POOL_SIZE instead.",
    "schema": "Use options=-csearch_path=NAME instead.",
    "search_path": "Use options=-csearch_path=NAME instead.",
    "statement_timeout": "Set DATABASE_TIMEOUT_SECONDS, or use options=-cstatement_timeout=MILLISECONDS.",
}
# With these the URL asks for a read-only server.
FOR_READING = ("any", "read-only", "standby", "prefer-standby")
CONNECT_ERRORS = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


class InvalidUrl(ValueError):
    """The URL cannot be used. The message names the option, and never a secret."""


@dataclass
class PostgresServer:
    """The hosts of one database, to one of which the service connects.

    Without hosts, libpq's variables and defaults apply.
    """

    hosts: tuple[tuple[str | None, int | None], ...]
    arguments: Mapping[str, Any]
    session: Mapping[str, str]
    connect_timeout_seconds: float | None
    is_for_reading: bool
    _last: int = field(default=0, repr=False)

    async def connect(
        self, *, timeout_seconds: float, server_settings: Mapping[str, str], **more: Any
    ) -> asyncpg.Connection:
        """Return a connection to the first host that responds and meets the URL's requirements.

        `server_settings` apply unless the URL sets them. Raises one of `CONNECT_ERRORS`.
        """
        bounds = [timeout_seconds / len(self.hosts)]
        if self.connect_timeout_seconds is not None:
            bounds.append(self.connect_timeout_seconds)
        failures: list[tuple[str | None, Exception]] = []
        # An unreachable host uses its whole share of the time, so the host that worked last comes first.
        for turn in range(len(self.hosts)):
            position = (self._last + turn) % len(self.hosts)
            host, port = self.hosts[position]
            try:
                connection = await asyncpg.connect(
                    host=host,
                    port=port,
                    timeout=min(bounds),
                    server_settings={**server_settings, **self.session},
                    **self.arguments,
                    **more,
                )
            except CONNECT_ERRORS as error:
                failures.append((host, error))
            else:
                self._last = position
                return connection
        raise _in_one(failures)


def _in_one(failures: list[tuple[str | None, Exception]]) -> Exception:
    if len(failures) == 1:
        return failures[0][1]
    return ConnectionError("; ".join(f"{host}: {error!r}" for host, error in failures))


def parse_url(url: str) -> PostgresServer:
    """Return the server that the URL names. Raises `InvalidUrl`."""
    rest = _without_scheme(url)
    before, _, query = rest.partition("?")
    authority, _, database = before.partition("/")
    if "@" in rest and "@" not in authority:
        # The rest may belong to a password, so it is not repeated.
        raise InvalidUrl(f"There is an '@' after the first '/' or '?'. {ENCODE}")
    credentials, _, hosts = authority.rpartition("@")
    user, _, password = credentials.partition(":")
    options = _options(query)
    for name, value in (("host", hosts), ("dbname", database), ("user", user), ("password", password)):
        if value and name in options:
            raise InvalidUrl(f"{name} is given twice: before the '?' and after it.")
    addresses = _hosts(hosts, options)
    attributes = options.get("target_session_attrs") or ("read-write" if len(addresses) > 1 else None)
    tls = {name: options[name] for name in TLS_OPTIONS if name in options}
    _check_tls(tls)
    arguments = {
        "dsn": f"postgresql://?{urlencode(tls)}" if tls else None,
        "user": options.get("user") or _unquoted("user", user) or None,
        "password": options.get("password") or _unquoted("password", password) or None,
        "database": options.get("dbname") or _unquoted("dbname", database) or None,
        "passfile": options.get("passfile"),
        "target_session_attrs": attributes,
    }
    session = _server_settings(options.get("options", ""))
    if "application_name" in options:
        session["application_name"] = options["application_name"]
    return PostgresServer(
        hosts=addresses,
        arguments={name: value for name, value in arguments.items() if value is not None},
        session=session,
        connect_timeout_seconds=_seconds(options.get("connect_timeout", "0")) or None,
        is_for_reading=attributes in FOR_READING,
    )


def _without_scheme(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    if not separator:
        raise InvalidUrl(f"It must begin with postgresql://, as in {EXAMPLE}.")
    if scheme not in SCHEMES:
        # Text that does not look like a scheme may belong to a password.
        told = f"{scheme}://" if re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme) else "Its beginning"
        raise InvalidUrl(f"{told} is not a scheme of PostgreSQL. Use postgresql://, as in {EXAMPLE}.")
    return rest


def _options(query: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for pair in filter(None, query.split("&")):
        name, equals, value = pair.partition("=")
        name = _unquoted("an option", name)
        if name == "ssl" and value == "true":
            # As libpq does, for URLs made for JDBC.
            name, value = "sslmode", "require"
        if name not in OPTIONS:
            raise InvalidUrl(f"The option {name!r} is not supported. {HINTS.get(name, 'Remove it.')}")
        if not equals:
            raise InvalidUrl(f"{name} has no value. Write {name}=VALUE.")
        if name in options:
            raise InvalidUrl(f"{name} is given twice.")
        options[name] = _unquoted(name, value)
        if name in CHOICES and options[name] not in CHOICES[name]:
            raise InvalidUrl(f"{name}={options[name]} is not supported. Use {_one_of(CHOICES[name])}.")
    return options


def _one_of(choices: Iterable[str]) -> str:
    return ", ".join(choices)


def _unquoted(name: str, text: str) -> str:
    try:
        decoded = unquote_plus(text, errors="strict") if name == "options" else _percent_decoded(text)
    except UnicodeDecodeError:
        # Its own message would repeat the text.
        raise InvalidUrl(f"{name} is not UTF-8 once its percent signs are decoded.") from None
    if "\0" in decoded:
        raise InvalidUrl(f"{name} has a NUL character, which PostgreSQL does not accept.")
    return decoded


def _percent_decoded(text: str) -> str:
    # A plus sign stays a plus sign, as in libpq.
    return unquote_plus(text.replace("+", "%2B"), errors="strict")


def _hosts(authority: str, options: Mapping[str, str]) -> tuple[tuple[str | None, int | None], ...]:
    specs: list[tuple[str, int | None]] = [_host(spec) for spec in authority.split(",")] if authority else []
    if "host" in options:
        specs = [(host, None) for host in options["host"].split(",")]
    ports: list[int | None] = (
        [_port(port) for port in options["port"].split(",")] if "port" in options else []
    )
    if not specs:
        return ((None, ports[0] if ports else None),)
    if len(ports) > 1 and len(ports) != len(specs):
        raise InvalidUrl(f"There are {len(ports)} ports for {len(specs)} hosts. Give one, or one for each.")
    if ports and any(port is not None for _, port in specs):
        raise InvalidUrl("port is given twice: before the '?' and after it.")
    named = ports * len(specs) if len(ports) == 1 else ports or [port for _, port in specs]
    return tuple((host or None, port) for (host, _), port in zip(specs, named, strict=True))


def _host(spec: str) -> tuple[str, int | None]:
    if bracketed := re.fullmatch(r"\[([^\]]+)\](?::(.*))?", spec):
        host, port = bracketed[1], bracketed[2]
    else:
        host, _, port = spec.partition(":")
    return _unquoted("host", host), _port(port) if port else None


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 0 < int(text) < 65_536:
        # Not repeated, because it may belong to a password.
        raise InvalidUrl(f"A port is not a number from 1 to 65535. Put an IPv6 address in brackets. {ENCODE}")
    return int(text)


def _seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]+", text):
        raise InvalidUrl(f"connect_timeout={text} is not a number of seconds.")
    return float(text)


def _server_settings(options: str) -> dict[str, str]:
    """Return the settings in `-c name=value` and `--name=value`; a backslash keeps a space."""
    words = [re.sub(r"\\(.)", r"\1", word) for word in re.findall(r"(?:\\.|[^\s\\])+", options)]
    settings: dict[str, str] = {}
    while words:
        word = words.pop(0)
        if word == "-c" and words:
            word += words.pop(0)
        found = re.fullmatch(r"(?:-c|--)([A-Za-z_][\w.-]*)=(.*)", word, re.DOTALL)
        if found is None:
            raise InvalidUrl("options must consist of '-c name=value'.")
        settings[found[1].replace("-", "_")] = found[2]
    return settings


def _check_tls(options: Mapping[str, str]) -> None:
    """Refuse now what asyncpg would only find at each connection."""
    for name in ("ssl_min_protocol_version", "ssl_max_protocol_version"):
        if options.get(name, TLS_VERSIONS[0]) not in TLS_VERSIONS:
            raise InvalidUrl(f"{name}={options[name]} is not supported. Use {_one_of(TLS_VERSIONS)}.")
    mode = options.get("sslmode", environ.get("PGSSLMODE", "prefer"))
    if options.get("sslnegotiation") == "direct" and mode not in SSL_MODES[3:]:
        raise InvalidUrl("sslnegotiation=direct needs sslmode=require, verify-ca or verify-full.")
    for name in FILES:
        if name in options:
            _check_readable(name, options[name])
    if mode.startswith("verify") and not _has_root_certificate(options):
        raise InvalidUrl(f"sslmode={mode} needs sslrootcert=FILE, the certificate of the server's authority.")
    _check_certificates(options)


def _check_readable(name: str, path: str) -> None:
    try:
        Path(path).open("rb").close()
    except OSError as error:
        raise InvalidUrl(f"{name}={path} cannot be read: {error.strerror}.") from None


def _has_root_certificate(options: Mapping[str, str]) -> bool:
    if "sslrootcert" in options or "PGSSLROOTCERT" in environ:
        return True
    try:
        return (Path.home() / ".postgresql/root.crt").exists()
    except RuntimeError:
        return False


def _check_certificates(options: Mapping[str, str]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        for name in ("sslrootcert", "sslcrl"):
            if name in options:
                context.load_verify_locations(options[name])
    except ssl.SSLError:
        raise InvalidUrl(f"{name}={options[name]} holds no certificates in PEM format.") from None
    if "sslcert" not in options:
        return
    try:
        context.load_cert_chain(
            options["sslcert"], options.get("sslkey"), lambda: options.get("sslpassword", "")
        )
    except (ssl.SSLError, OSError):
        raise InvalidUrl(
            "sslcert and sslkey are not a certificate and its key, both in PEM format."
        ) from None
