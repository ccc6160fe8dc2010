"""DATABASE_URL: valid options reach PostgreSQL, and others are refused by name at startup."""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from pydantic import ValidationError

from app.forge.database.postgres import DatabaseSettings, open_database
from app.forge.database.postgres_url import InvalidUrl, PostgresServer, parse_url
from app.forge.errors import Unavailable
from app.resources import RESOURCES
from app.settings import Settings

AXES: tuple[str, ...] = ()
TABLES = [resource.table for resource in RESOURCES]
NO_CERTIFICATE = "-----BEGIN CERTIFICATE-----\n"


@pytest.mark.parametrize(
    ("url", "hosts", "arguments"),
    [
        ("postgresql://", [(None, None)], {}),
        ("postgres://u:p@h/d", [("h", None)], {"user": "u", "password": "p", "database": "d"}),
        ("postgresql://u:p%25%2F%40%3A+@h:1/d%25", [("h", 1)], {"password": "p%/@:+", "database": "d%"}),
        ("postgresql://u:50%@h/d", [("h", None)], {"password": "50%"}),
        ("postgresql://u:a@b@h/d", [("h", None)], {"password": "a@b"}),
        ("postgresql://u:a#b@h/d", [("h", None)], {"password": "a#b"}),
        ("postgresql://u@[::1]:5433/d", [("::1", 5433)], {"user": "u"}),
        ("postgresql://u@[fe80::1%25eth0]/d", [("fe80::1%eth0", None)], {}),
        ("postgresql://u@/d?host=/run/postgresql", [("/run/postgresql", None)], {"database": "d"}),
        ("postgresql://u@%2Frun%2Fpostgresql:5433/d", [("/run/postgresql", 5433)], {}),
        ("postgresql:///d?host=a,b&port=1", [("a", 1), ("b", 1)], {"target_session_attrs": "read-write"}),
        ("postgresql://a:1,[::1]:2/d", [("a", 1), ("::1", 2)], {"target_session_attrs": "read-write"}),
        ("postgresql://a,b/d?target_session_attrs=any", [("a", None), ("b", None)], {}),
        ("postgresql://?user=u&password=p%26&dbname=d", [(None, None)], {"password": "p&", "database": "d"}),
        ("postgresql://h/d?sslmode=require", [("h", None)], {"dsn": "postgresql://?sslmode=require"}),
        ("postgresql://h/d?ssl=true", [("h", None)], {"dsn": "postgresql://?sslmode=require"}),
    ],
)
def test_a_url_is_parsed_as_by_libpq(url: str, hosts: list[Any], arguments: dict[str, str]) -> None:
    server = parse_url(url)
    assert server.hosts == tuple(hosts)
    assert arguments.items() <= server.arguments.items()


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("", "postgresql://"),
        ("host=h user=secret", "postgresql://"),
        ("postgresql+asyncpg://u:secret@h/d", r"postgresql\+asyncpg://"),
        ("mysql://u:secret@h/d", "mysql://"),
        ("oracle:///secret.db", "oracle://"),
        ("u:secret@h://", "postgresql://"),
        ("postgresql://u:secret@h:port/d", "port"),
        ("postgresql://u:secret@h:70000/d", "port"),
        ("postgresql://u:secret@::1/d", "brackets"),
        ("postgresql://u:secret/more@h/d", "%2F"),
        ("postgresql://u:secret?more=1@h/d", "%3F"),
        ("postgresql://u:secret%00@h/d", "password has a NUL"),
        ("postgresql://u:secret%ff@h/d", "password is not UTF-8"),
        ("postgresql://h/d?sslmode=verify", "sslmode=verify .* verify-full"),
        ("postgresql://h/d?sslmode=verify-full&sslrootcert=/nowhere/ca.pem", "sslrootcert=/nowhere/ca.pem"),
        ("postgresql://h/d?sslcert=/nowhere/c.pem", "sslcert=/nowhere/c.pem"),
        ("postgresql://h/d?sslkey=/nowhere/k.pem", "sslkey=/nowhere/k.pem"),
        ("postgresql://h/d?sslnegotiation=direct&sslmode=prefer", "sslnegotiation"),
        ("postgresql://h/d?ssl_min_protocol_version=SSLv3", "ssl_min_protocol_version=SSLv3"),
        ("postgresql://h/d?target_session_attrs=writable", "target_session_attrs=writable"),
        ("postgresql://h/d?channel_binding=require", "channel_binding=require"),
        ("postgresql://h/d?connect_timeout=soon", "connect_timeout=soon"),
        ("postgresql://h/d?options=-d", "options"),
        ("postgresql://h/d?pgbouncer=true", "'pgbouncer' .*DATABASE_POOLER"),
        ("postgresql://h/d?schema=x", "'schema' .*search_path"),
        ("postgresql://h/d?keepalives=1", "'keepalives'"),
        ("postgresql://h/d?sslmode", "sslmode has no value"),
        ("postgresql://h/d?sslmode=prefer&sslmode=require", "sslmode is given twice"),
        ("postgresql://h/d?host=i", "host is given twice"),
        ("postgresql://u:secret@h/d?password=secret", "password is given twice"),
        ("postgresql://a,b/d?port=1,2,3", "3 ports for 2 hosts"),
    ],
)
def test_unknown_options_are_refused_by_name_without_secrets(url: str, named: str) -> None:
    with pytest.raises(ValidationError, match=named) as refusal:
        DatabaseSettings(_env_file=None, database_url=url)
    assert "database_url" in str(refusal.value)
    assert "secret" not in str(refusal.value)


def test_a_file_that_is_not_a_certificate_is_refused(tmp_path: Any) -> None:
    path = tmp_path / "ca 1%.pem"
    path.write_text(NO_CERTIFICATE)
    with pytest.raises(InvalidUrl, match="sslrootcert="):
        parse_url(f"postgresql://h/d?sslmode=verify-ca&sslrootcert={quote(str(path))}")


@pytest.fixture
def server_with(settings: Settings) -> Callable[[str], PostgresServer]:
    """Return the database for tests, with options."""
    url = settings.database_url.get_secret_value()
    return lambda options: parse_url(f"{url}{'&' if '?' in url else '?'}{options}")


async def value_of(server: PostgresServer, sql: str) -> str:
    connection = await server.connect(timeout_seconds=5, server_settings={"application_name": "default"})
    try:
        value: str = await connection.fetchval(sql)
    finally:
        await connection.close()
    return value


@pytest.mark.parametrize(
    ("options", "setting", "value"),
    [
        ("application_name=a%20b%25", "application_name", "a b%"),
        ("connect_timeout=3", "application_name", "default"),
        ("options=-c%20statement_timeout=1234ms", "statement_timeout", "1234ms"),
        ("options=-cstatement_timeout=1s%20--lock-timeout=2s", "lock_timeout", "2s"),
        (r"options=-c+application_name=a\%20b", "application_name", "a b"),
        ("target_session_attrs=primary", "transaction_read_only", "off"),
    ],
)
async def test_an_option_reaches_the_server(
    server_with: Callable[[str], PostgresServer], options: str, setting: str, value: str
) -> None:
    assert await value_of(server_with(options), f"SELECT current_setting('{setting}')") == value


async def test_an_unreachable_host_is_skipped(settings: Settings) -> None:
    there = settings.server
    several = parse_url(f"postgresql://127.0.0.1:9,{there.hosts[0][0]}:{there.hosts[0][1]}/")
    several.arguments = {**several.arguments, **there.arguments}
    assert await value_of(several, "SELECT current_setting('transaction_read_only')") == "off"
    assert several._last == 1


async def test_if_all_hosts_fail_each_is_named_with_its_error() -> None:
    server = parse_url("postgresql://u:secret@127.0.0.1:9,localhost:9/d")
    with pytest.raises(ConnectionError, match=r"127\.0\.0\.1: .*; localhost: ") as failure:
        await server.connect(timeout_seconds=5, server_settings={})
    assert "secret" not in str(failure.value)


async def test_a_server_for_reading_need_not_accept_writes(settings: Settings) -> None:
    url = settings.database_url.get_secret_value()
    read_only = f"options=-cdefault_transaction_read_only=on{'&' if '?' in url else ''}"
    first, _, options = url.partition("?")
    for attributes, is_ready in (("", False), ("&target_session_attrs=read-only", True)):
        changed = f"{first}?{read_only}{options}{attributes}"
        changed_settings = DatabaseSettings(_env_file=None, database_url=changed)
        async with open_database(changed_settings, TABLES) as database:
            if is_ready:
                await database.ping()
            else:
                with pytest.raises(Unavailable, match="is read-only"):
                    await database.ping()
