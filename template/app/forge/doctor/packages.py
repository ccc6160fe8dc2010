"""Checks of the installed packages: missing ones, other versions than those that were tested, and abandoned ones."""

import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from app.forge.doctor.advisories import check_advisories
from app.forge.doctor.findings import Finding, NotChecked, Outcomes

PINNED = re.compile(r"^([\w.-]+)(?:\[[^\]]*\])?==([^\s;\\]+)\s*(;)?", re.MULTILINE)
NAME = re.compile(r"[\w.-]+")
# Packages without maintenance, and what replaces them. Others say so themselves, in their classifiers.
ABANDONED = {"passlib": "pwdlib", "python-jose": "joserfc"}
INACTIVE = "Development Status :: 7 - Inactive"


def check_packages(project: Path, advisories: str | None) -> Outcomes:
    """Yield the findings about the packages in requirements.txt and pyproject.toml."""
    try:
        text = (project / "requirements.txt").read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        yield NotChecked("packages", f"requirements.txt cannot be read: {type(error).__name__}")
        return
    pins = _pins(text)
    installed = {name: version for name in pins if (version := _installed(name)) is not None}
    missing = sorted(name for name, needed in pins.items() if needed.is_everywhere and name not in installed)
    if missing:
        yield Finding(
            "packages.missing",
            "error",
            f"Not installed in this environment: {', '.join(missing)}.",
            "Run make install, and use .venv/bin/python.",
        )
    for name, version in installed.items():
        if version not in pins[name].versions:
            yield Finding(
                "packages.version",
                "warning",
                f"{name} {version} is installed, and requirements.txt has {' or '.join(sorted(pins[name].versions))}.",
                "Run make install, or make lock if you have changed a range.",
            )
    yield from _check_abandoned({*pins, *_direct(project)})
    yield from check_advisories(installed, advisories)


class Pin:
    """The versions of a package in requirements.txt. It is needed everywhere if one of them has no condition."""

    def __init__(self) -> None:
        self.versions: set[str] = set()
        self.is_everywhere = False


def _pins(text: str) -> Mapping[str, Pin]:
    pins: defaultdict[str, Pin] = defaultdict(Pin)
    for name, version, condition in PINNED.findall(text):
        pins[_normal(name)].versions.add(version)
        pins[_normal(name)].is_everywhere |= not condition
    return pins


def _direct(project: Path) -> Iterator[str]:
    with suppress(OSError, ValueError, LookupError, TypeError):
        for requirement in tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["project"][
            "dependencies"
        ]:
            if found := NAME.match(requirement):
                yield _normal(found[0])


def _check_abandoned(names: set[str]) -> Outcomes:
    for name in sorted(names):
        if name in ABANDONED or _is_inactive(name):
            yield Finding(
                "packages.abandoned",
                "warning",
                f"{name} is unmaintained, so its vulnerabilities are not fixed.",
                f"Replace it with {ABANDONED[name]}."
                if name in ABANDONED
                else "Replace it with a maintained package.",
            )


def _is_inactive(name: str) -> bool:
    try:
        return INACTIVE in (distribution(name).metadata.get_all("Classifier") or [])
    except PackageNotFoundError:
        return False


def _installed(name: str) -> str | None:
    try:
        return distribution(name).version
    except PackageNotFoundError:
        return None


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
