"""The project that is measured: the one in the current directory."""

import os
import tomllib
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from fastforge_kit.errors import CannotMeasure

PROJECT = Path.cwd()
# The settings of the measured service: the project's tests remove them from the environment when they are imported.
ENVIRONMENT = dict(os.environ)
# Targets of the service, and requests beyond those of its contract.
TARGETS = Path("benchmarks/targets.toml")
REQUESTS = "request"
OPTIMIZATIONS = Path(__file__).parents[1] / "optimizations"


class _Databases(Protocol):
    """The part of a project's `tests.database` that measuring needs."""

    def throwaway_database(self) -> AbstractContextManager[str]: ...

    def another_database(self, url: str) -> AbstractContextManager[str]: ...


def read_toml(file: Path) -> dict[str, Any]:
    """Return the contents of a TOML file of the project, or an empty dictionary if it does not exist. Raises `CannotMeasure`."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CannotMeasure(
            f"{TARGETS} cannot be read: {error}.", f"Restore it: git restore {TARGETS}"
        ) from None


def service_name() -> str:
    """Return the name of the service, as its documentation shows it."""
    return str(import_module("app.forge.about").NAME)


@contextmanager
def throwaway_database() -> Iterator[str]:
    """Yield the URL of an empty, migrated database of the project's tests.

    Raises:
        CannotMeasure: There is none, or the project's helpers for tests are gone.
    """
    with throwaway_databases() as (url, _):
        yield url


@contextmanager
def throwaway_databases() -> Iterator[tuple[str, str]]:
    """Yield the URLs of two such databases, which are the same if the tests have only one.

    Raises:
        CannotMeasure: There is none, or the project's helpers for tests are gone.
    """
    databases = cast("_Databases", _module("tests.database"))
    unavailable: type[Exception] = _module("tests").NoDatabase
    with ExitStack() as stack:
        try:
            url = stack.enter_context(databases.throwaway_database())
            another = stack.enter_context(databases.another_database(url))
        except unavailable as error:
            raise CannotMeasure(str(error), getattr(error, "hint", "Run: make test")) from None
        yield url, another


def _module(name: str):  # type: ignore[no-untyped-def]  # noqa: ANN202 (a module of the project)
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise CannotMeasure(
            f"The project has no {name.replace('.', '/')}, which creates its test databases.",
            f"Restore it: git restore {name.partition('.')[0]}",
        ) from None
