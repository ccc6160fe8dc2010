"""Databases that a measurement may fill: made for it, or named for tests."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.errors import CannotMeasure

PROJECT = Path(__file__).parent.parent


@contextmanager
def throwaway_databases() -> Iterator[dict[str, str]]:
    """Yield the settings, as environment variables, that lead to an empty database and its cache.

    Raises `CannotMeasure` where a server is needed and none is named for tests.
    """
    cache = {"REDIS_URL": _redis_url()} if _is_used("app/cache/redis.py") else {}
    if _is_used("app/store/sqlite.py"):
        with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
            url = f"sqlite:///{folder}/items.db"
            _run_alembic(url, "upgrade", "head")
            yield {"DATABASE_URL": url, **cache}
        return
    url = _test_database_url()
    empty = _drop_mongodb if _is_used("app/store/mongodb.py") else _migrate_anew
    empty(url)
    yield {"DATABASE_URL": url, **cache}
    empty(url)


def _is_used(module: str) -> bool:
    return (PROJECT / module).is_file()


def _test_database_url() -> str:
    url = os.environ.get("TEST_DATABASE_URL", "")
    if not url:
        raise CannotMeasure("TEST_DATABASE_URL is not set. Set it to a database that may be emptied.")
    name = urlsplit(url).path.removeprefix("/")
    if "test" not in name:
        raise CannotMeasure(
            f"TEST_DATABASE_URL leads to {name!r}, which has no 'test' in its name. It would be emptied: name one "
            f"that may be."
        )
    return url


def _redis_url() -> str:
    url = os.environ.get("TEST_REDIS_URL", "")
    if not url:
        raise CannotMeasure("TEST_REDIS_URL is not set. Set it, for example to redis://127.0.0.1:6379/1.")
    return url


def _migrate_anew(url: str) -> None:
    _run_alembic(url, "downgrade", "base")
    _run_alembic(url, "upgrade", "head")


def _run_alembic(url: str, *arguments: str) -> None:
    environment: Mapping[str, str] = {**os.environ, "DATABASE_URL": url}
    command = [sys.executable, "-m", "alembic", *arguments]
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1]
        raise CannotMeasure(f"The database cannot be migrated: {reason}")


def _drop_mongodb(url: str) -> None:
    # Projects on the other databases do not have the driver.
    pymongo = import_module("pymongo")
    try:
        with pymongo.MongoClient(url, serverSelectionTimeoutMS=3_000) as client:
            client.drop_database(client.get_default_database().name)
    except pymongo.errors.PyMongoError as error:
        raise CannotMeasure(f"The database at TEST_DATABASE_URL does not answer: {error}") from None
