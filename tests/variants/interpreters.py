"""The Pythons that variants run on: the current one, and other supported versions that are available."""

from __future__ import annotations

import fcntl
import platform
import subprocess
import sys
from dataclasses import dataclass
from functools import cache

import uv

from testkit.interpreters import find_python
from tests.repository import VAR
from tests.variants.debian import NotFetched, fetch, python_in
from tests.variants.space import Variant

SUPPORTED = ("3.11", "3.12", "3.13", "3.14")
NEWEST = SUPPORTED[-1]
# Interpreters that were fetched, for this and all later runs.
FETCHED = VAR / "interpreters"
UV_SECONDS = 60
THIS = ".".join(platform.python_version_tuple()[:2])


@dataclass(frozen=True)
class Interpreter:
    """One CPython, such as 3.12, and its path."""

    version: str
    path: str

    @property
    def is_this(self) -> bool:
        """True for the one that runs the tests."""
        return self.version == THIS


def run_name(variant: Variant, interpreter: Interpreter) -> str:
    """Return the name of a variant's run: `sqlite-…-uvicorn`, or `sqlite-…-uvicorn-on-3.12`."""
    return variant.name if interpreter.is_this else f"{variant.name}-on-{interpreter.version}"


def this_interpreter() -> Interpreter:
    """Return the interpreter that runs the tests."""
    return Interpreter(THIS, sys.executable)


@cache
def found_interpreters() -> tuple[Interpreter, ...]:
    """Return one interpreter of each supported version on this machine, the current one first."""
    others = (find_interpreter(version) for version in SUPPORTED if version != THIS)
    return (this_interpreter(), *(interpreter for interpreter in others if interpreter))


def missing_versions() -> list[str]:
    """Return the supported versions without an interpreter on this machine."""
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
    """Return an interpreter of this version, such as `3.12`, if there is one on this machine."""
    fetched = (python_in(FETCHED / version, version), *FETCHED.glob(f"*{version}*/bin/python{version}"))
    path = find_python(version, [str(each) for each in fetched if each.exists()])
    return Interpreter(version, path) if path else None


def fetch_missing() -> list[str]:
    """Fetch the missing supported versions, and return one line for each that is not available.

    They stay in `var/interpreters`. uv knows builds for most systems; Debian's packages are the other source.
    """
    failures = []
    for version in missing_versions():
        FETCHED.mkdir(parents=True, exist_ok=True)
        with (FETCHED / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                if find_interpreter(version) is None:
                    _fetch(version)
            except NotFetched as reason:
                failures.append(f"Python {version} is not installed and could not be fetched: {reason}")
    found_interpreters.cache_clear()
    return failures


def _fetch(version: str) -> None:
    """Fetch this version, or raise `NotFetched` with the errors of both ways."""
    try:
        fetch(FETCHED / version, version)
    except NotFetched as debian:
        command = [uv.find_uv_bin(), "python", "install", "--quiet", "--no-bin"]
        command += ["--install-dir", str(FETCHED), version]
        try:
            done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=UV_SECONDS)
        except subprocess.TimeoutExpired as late:
            raise NotFetched(f"{debian}; uv took longer than {UV_SECONDS} s") from late
        if done.returncode != 0:
            raise NotFetched(f"{debian}; uv said: {done.stderr.strip().splitlines()[-1:]}") from debian
