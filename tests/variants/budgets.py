"""How lean a variant must stay: what the base and each answer may bring, read from budgets.toml.

Files and lines count what is in the project (pinned requirements aside), `owner_files` and `owner_python` the
files and the lines of Python outside of app/forge, packages what production installs, modules what `from app
import main` imports beyond Python's own: the part of a start's time that no machine changes.
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
    """Return how much of each the variant may have."""
    budgets = _budgets()
    total = Counter(budgets["base"])
    for _, answer in variant.answers:
        total.update(budgets.get(answer, {}))
    return total


def measured(project: Project) -> Counter[str]:
    """Return how much of each the project has, but for modules."""
    files = project.files()
    lines = sum(path.read_bytes().count(b"\n") for path in files if not path.name.startswith("requirements"))
    owners = [path for path in files if not path.is_relative_to(project.folder / "app/forge")]
    python = sum(path.read_bytes().count(b"\n") for path in owners if path.suffix == ".py")
    packages = len(listed(project, "requirements.txt"))
    return Counter(
        files=len(files), lines=lines, owner_files=len(owners), owner_python=python, packages=packages
    )


def resource_budget() -> dict[str, int]:
    """Return what a resource may add to a project, and how many files may mention the sample."""
    return _budgets()["resource"]


@cache
def _budgets() -> dict[str, dict[str, int]]:
    return tomllib.loads(BUDGETS.read_text(encoding="utf-8"))
