"""The Pythons that variants run on: this one, and those others of the supported versions that are found."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

SUPPORTED = ("3.11", "3.12", "3.13")
THIS = ".".join(platform.python_version_tuple()[:2])
ASK_FOR_VERSION = "import sys, ssl, venv; print('%d.%d' % sys.version_info[:2])"


@dataclass(frozen=True)
class Interpreter:
    """One CPython, such as 3.12, and its path."""

    version: str
    path: str

    @property
    def is_this(self) -> bool:
        """Whether it is the one that runs the tests."""
        return self.version == THIS


def this_interpreter() -> Interpreter:
    """Return the interpreter that runs the tests."""
    return Interpreter(THIS, sys.executable)


@cache
def found_interpreters() -> tuple[Interpreter, ...]:
    """Return one interpreter of each supported version that is here, this one first."""
    others = (find_interpreter(version) for version in SUPPORTED if version != THIS)
    return (this_interpreter(), *(interpreter for interpreter in others if interpreter))


def missing_versions() -> list[str]:
    """Return the supported versions of which no interpreter is here."""
    found = {interpreter.version for interpreter in found_interpreters()}
    return [version for version in SUPPORTED if version not in found]


def interpreters_named(wish: str) -> tuple[Interpreter, ...]:
    """Return those of the versions, such as `3.12,3.13`; raise `ValueError` for one that is not found."""
    found = {interpreter.version: interpreter for interpreter in found_interpreters()}
    unknown = [version for version in wish.split(",") if version not in found]
    if unknown:
        here = ", ".join(found)
        raise ValueError(f"No Python {unknown[0]} is found. Install it, or choose from those here: {here}.")
    return tuple(found[version] for version in wish.split(","))


def find_interpreter(version: str) -> Interpreter | None:
    """Return an interpreter of this version, such as `3.12`, if one is here."""
    for path in _candidates(version):
        asked = subprocess.run(
            [path, "-c", ASK_FOR_VERSION], capture_output=True, text=True, check=False, timeout=30
        )
        # A shim of pyenv is there for versions that are not in use, and fails.
        if asked.stdout.strip() == version:
            return Interpreter(version, path)
    return None


def _candidates(version: str) -> Iterator[str]:
    """Yield what may be this version: on PATH, or beside this interpreter, as pyenv and uv keep theirs."""
    on_path = shutil.which(f"python{version}")
    if on_path:
        yield on_path
    siblings = Path(sys.base_prefix).parent.glob(f"*{version}*/bin/python{version}")
    yield from map(str, sorted(siblings))
