"""The server that DATABASE_URL names, and its options, each of which is honored or refused by name."""

import warnings
from typing import Any
from urllib.parse import unquote_plus

from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError

SCHEMES = ("mongodb", "mongodb+srv")
EXAMPLE = "Use mongodb://host:port/database or mongodb+srv://host/database"

# Options that are settings instead, by their names in lower case.
SETTINGS = {
    "connecttimeoutms": "DATABASE_TIMEOUT_SECONDS",
    "maxpoolsize": "DATABASE_POOL_SIZE",
    "minpoolsize": "DATABASE_POOL_SIZE",
    "serverselectiontimeoutms": "DATABASE_TIMEOUT_SECONDS",
    "sockettimeoutms": "DATABASE_TIMEOUT_SECONDS",
    "timeoutms": "DATABASE_TIMEOUT_SECONDS",
    "waitqueuetimeoutms": "DATABASE_TIMEOUT_SECONDS",
    "wtimeoutms": "DATABASE_TIMEOUT_SECONDS",
}
# Options that the service depends on, with their only allowed value.
FIXED = {"journal": "true", "tz_aware": "true", "uuidrepresentation": "standard"}
# Options that would break the service's reads and writes.
UNSUPPORTED = frozenset({"datetime_conversion", "fsync", "unicode_decode_error_handler"})
SECRET = frozenset({"authmechanismproperties", "proxypassword", "tlscertificatekeyfilepassword"})


def check_url(url: str, **options: Any) -> None:
    """Raise `ValueError`, which never repeats a secret, if no client could be made with this URL and options."""
    scheme, _, rest = url.partition("://")
    authority, _, behind = rest.partition("/")
    database, _, query = behind.partition("?")
    if scheme not in SCHEMES:
        raise ValueError(f"it is not the URL of a MongoDB server. {EXAMPLE}")
    # Checked before any message quotes the URL: text after an unescaped character may belong to a password.
    if "@" in behind or "?" in authority:
        raise ValueError(
            "special characters in the user name, the password and options must be percent-encoded, "
            f"and a database must be named. {EXAMPLE}"
        )
    if not database:
        raise ValueError(f"it must name a server and a database. {EXAMPLE}")
    named = _named(query)
    for name, value in named.items():
        _check_option(name, value)
    _check_client(url, named, options)


def names_application(url: str) -> bool:
    """Return whether the URL sets the application's name."""
    return "appname" in map(str.lower, _named(url.partition("?")[2]))


def _named(query: str) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in query.replace(";", "&").split("&") if pair)
    return {name: unquote_plus(value) for name, _, value in pairs}


def _check_option(name: str, value: str) -> None:
    key = name.lower()
    if key in SETTINGS:
        raise ValueError(f"the option {name!r} is not supported: set {SETTINGS[key]} instead")
    if key in UNSUPPORTED:
        raise ValueError(f"the option {name!r} is not supported")
    if key in FIXED and value.lower() != FIXED[key]:
        raise ValueError(f"the option {name!r} must be {FIXED[key]!r}, or be left out")
    if key == "w" and value == "0":
        raise ValueError("the option 'w' must not be 0: the service has to know whether a write succeeded")


def _check_client(url: str, named: dict[str, str], options: dict[str, Any]) -> None:
    try:
        with warnings.catch_warnings():
            # PyMongo only warns about an option that it does not know.
            warnings.simplefilter("error", UserWarning)
            # It does not connect or look up names before the first operation.
            AsyncMongoClient[dict[str, Any]](url, **options)
    except OSError as error:
        names = [name for name, value in named.items() if value == error.filename]
        where = f"of the option {names[0]!r} " if names else "for TLS "
        raise ValueError(f"the file {where}cannot be used: {error.strerror}") from None
    except (PyMongoError, TypeError, UserWarning, ValueError) as error:
        if SECRET & set(map(str.lower, named)):
            raise ValueError("its host, port, database or one of its options is not valid") from None
        raise ValueError(f"PyMongo does not accept it: {error}") from None
