"""Settings, dependencies and manual steps that an update leaves to the owner of the project."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from fastforge.template.questions import Answers
from fastforge.update.merge import Scratch, Tree

_MANUAL_STEPS = Path(__file__).with_name("manual_steps.toml")


def settings_and_dependencies(scratch: Scratch, old: Tree, new: Tree) -> dict[str, list[str]]:
    """Return the settings and the dependencies that the new rendering adds and removes."""
    changes = {}
    for kind, file, names in (
        ("settings", ".env.example", _settings),
        ("dependencies", "pyproject.toml", _dependencies),
    ):
        before, after = (
            names(scratch.git("cat-file", "blob", tree[file].blob)) if file in tree else set()
            for tree in (old, new)
        )
        changes[f"{kind}_added"] = sorted(after - before)
        changes[f"{kind}_removed"] = sorted(before - after)
    return changes


def manual_steps(old: Answers, new: Answers) -> list[str]:
    """Return the steps for the answers that change."""
    steps = tomllib.loads(_MANUAL_STEPS.read_text(encoding="utf-8"))
    return [step for name, texts in steps.items() if old.get(name) != new.get(name) for step in texts]


def _settings(env_example: str) -> set[str]:
    return set(re.findall(r"^(?:# )?([A-Z][A-Z0-9_]*)=", env_example, re.MULTILINE))


def _dependencies(pyproject: str) -> set[str]:
    listed = tomllib.loads(pyproject).get("project", {}).get("dependencies", [])
    return {re.split(r"[^\w.-]", each, maxsplit=1)[0] for each in listed}
