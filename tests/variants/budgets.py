"""How lean a variant must stay: what the base and each answer may bring, read from budgets.toml.

Files and lines count what is in the project (pinned requirements aside), packages what production installs,
modules what `from app import main` imports from packages: the part of a start's time that no machine changes.
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
    """Return how many `files`, `lines`, `packages` and `modules` the variant may have."""
    budgets = _budgets()
    total = Counter(budgets["base"])
    for _, answer in variant.answers:
        total.update(budgets.get(answer, {}))
    return total


def measured(project: Project) -> Counter[str]:
    """Return how many files, lines and packages the project has."""
    files = project.files()
    lines = sum(path.read_bytes().count(b"\n") for path in files if not path.name.startswith("requirements"))
    packages = len(listed(project, "requirements.txt"))
    return Counter(files=len(files), lines=lines, packages=packages)


@cache
def _budgets() -> dict[str, dict[str, int]]:
    return tomllib.loads(BUDGETS.read_text(encoding="utf-8"))
