"""Requirements: those that a project declares, those in its files, and those of the packages themselves."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import Distribution
from typing import NamedTuple

from packaging.requirements import Requirement

from tests.variants.environments import normalized
from tests.variants.rendering import Project

Installed = Mapping[str, Distribution]


class Declared(NamedTuple):
    """The ranges of pyproject.toml: those of the service, of its development, and of its load tests."""

    service: list[Requirement]
    development: list[Requirement]
    load: list[Requirement]


def declared(project: Project) -> Declared:
    """Return the declared requirements of the project."""
    document = tomllib.loads(project.read("pyproject.toml"))
    groups = document["dependency-groups"]
    lists = (document["project"]["dependencies"], groups["dev"], groups["load"])
    return Declared(*([Requirement(line) for line in lines] for lines in lists))


def listed(project: Project, name: str) -> dict[str, str]:
    """Return the exact versions that a requirements file lists for this platform, by normalized name."""
    lines = re.findall(r"^([^\s#-].*?) *\\?$", project.read(name), re.MULTILINE)
    exact = [Requirement(line) for line in lines]
    here = [requirement for requirement in exact if _applies(requirement, "")]
    return {
        normalized(requirement.name): str(requirement.specifier).removeprefix("==") for requirement in here
    }


def closure(ranges: Iterable[Requirement], installed: Installed) -> dict[str, str]:
    """Return the versions of all distributions that the ranges need, according to their metadata.

    Raises `AssertionError` if an installed version is outside a range.
    """
    needed: dict[str, str] = {}
    waiting = [(requirement, "") for requirement in ranges]
    seen = set()
    while waiting:
        requirement, extra = waiting.pop()
        if (str(requirement), extra) in seen or not _applies(requirement, extra):
            continue
        seen.add((str(requirement), extra))
        version, needs = _metadata(installed[normalized(requirement.name)])
        assert version in requirement.specifier, f"{version} does not fit {requirement}"
        needed[normalized(requirement.name)] = version
        waiting += [(need, wish) for need in needs for wish in ("", *requirement.extras)]
    return needed


@cache
def _metadata(distribution: Distribution) -> tuple[str, list[Requirement]]:
    # Once for all variants: reading package metadata takes longer than everything else here.
    return distribution.version, [Requirement(line) for line in distribution.requires or []]


def _applies(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})
