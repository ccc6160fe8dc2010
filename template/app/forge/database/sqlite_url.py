"""The database file that DATABASE_URL names, for the service and its migrations alike."""

from pathlib import Path
from urllib.parse import unquote

PREFIX = "sqlite:///"
EXAMPLE = "Use sqlite:///var/app.db, or sqlite:////srv/app.db for an absolute path"


def database_path(url: str) -> Path:
    """Return the path in the URL, with its percent-escapes decoded, or raise `ValueError`.

    sqlite:///app.db is relative, sqlite:////srv/app.db absolute. There are no options: connections are
    set up by the service.
    """
    scheme, separator, rest = url.partition("://")
    if scheme.startswith("sqlite+"):
        raise ValueError(
            f"{scheme!r} names another driver. The service uses the standard library's: sqlite:///"
        )
    if scheme != "sqlite" or not separator:
        raise ValueError(f"it is not the URL of a SQLite file. {EXAMPLE}")
    if not rest.startswith("/"):
        raise ValueError(f"there must be three slashes before the path, four if it is absolute. {EXAMPLE}")
    path, has_options, options = rest[1:].partition("?")
    if has_options:
        raise ValueError(_refusal(options))
    return _path_of_a_file(unquote(path))


def _refusal(options: str) -> str:
    names = [option.partition("=")[0] for option in options.split("&")]
    if "timeout" in names:
        return "the option 'timeout' is not supported: set DATABASE_TIMEOUT_SECONDS instead"
    listed = ", ".join(map(repr, names))
    return f"options are not supported: {listed}. Remove them; a question mark in a path is written %3F"


def _path_of_a_file(path: str) -> Path:
    # Every connection to memory opens a different database, and the store has several connections.
    if path in ("", ":memory:") or path.startswith("file:"):
        raise ValueError(f"it must name a file, not a database in memory or a file: URI. {EXAMPLE}")
    if "\0" in path:
        raise ValueError("the path has a NUL character")
    if path.endswith("/") or Path(path).is_dir():
        raise ValueError(f"{path!r} is a directory. {EXAMPLE}")
    return Path(path)
