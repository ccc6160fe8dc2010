"""Limits of a variant: what the base and each answer may add, read from budgets.toml.

Files and lines count the project (except for pinned requirements), `owner_files` and `owner_python` the
files and lines of Python outside app/forge, packages those of production, modules those that `from app
import main` imports beyond Python's own: the part of a start's time that does not depend on the machine.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from functools import cache
from pathlib import Path

from tests.variants.rendering import Project
from tests.variants.requirements import listed
from tests.variants.space import Variant

BUDGETS = Path(__file__).with_name("budgets.toml")


def budget_of(variant: Variant) -> Counter[str]:
    """Return the limits of the variant."""
    budgets = _budgets()
    total = Counter(budgets["base"])
    for _, answer in variant.answers:
        total.update(budgets.get(answer, {}))
    return total


def measured(project: Project) -> Counter[str]:
    """Return the counts of the project, except for modules."""
    files = project.files()
    lines = sum(path.read_bytes().count(b"\n") for path in files if not path.name.startswith("requirements"))
    owners = [path for path in files if not path.is_relative_to(project.folder / "app/forge")]
    python = sum(path.read_bytes().count(b"\n") for path in owners if path.suffix == ".py")
    packages = len(listed(project, "requirements.txt"))
    return Counter(
        files=len(files), lines=lines, owner_files=len(owners), owner_python=python, packages=packages
    )


def resource_budget() -> dict[str, int]:
    """Return what a resource may add to a project, and the number of files that may mention the sample."""
    return _budgets()["resource"]


@cache
def _budgets() -> dict[str, dict[str, int]]:
    return tomllib.loads(BUDGETS.read_text(encoding="utf-8"))
