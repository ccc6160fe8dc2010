"""A service cannot have the name of a package or module in its environment."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

import pytest
import yaml

from tests.repository import REPOSITORY
from tests.variants.environments import environment_of_all, installed


def names_in_environment() -> Iterator[str]:
    """Yield the names of all distributions that any variant installs, and of their import packages."""
    for name, distribution in installed(environment_of_all()).items():
        yield name.replace("-", "_")
        for path in distribution.files or ():
            top = path.parts[0]
            is_package = len(path.parts) > 1 and path.suffix in {".py", ".so"}
            is_module = len(path.parts) == 1 and path.suffix == ".py"
            if is_package or is_module:
                yield top.removesuffix(".py").lower()


@pytest.fixture(scope="module")
def reserved() -> set[str]:
    """Return the names that copier.yml refuses."""
    questions = yaml.safe_load((REPOSITORY / "copier.yml").read_text())
    # YAML reads some words as true and false.
    return {str(name).lower() for name in questions["reserved_names"]["default"]}


def test_the_packages_of_any_variant_are_reserved(reserved: set[str]) -> None:
    names = {name for name in names_in_environment() if re.fullmatch(r"[a-z][a-z0-9_]*", name)}
    missing = sorted(names - reserved - {"docs", "examples"})
    assert not missing, f"Add to reserved_names in copier.yml: {', '.join(missing)}"


def test_the_standard_library_is_reserved(reserved: set[str]) -> None:
    assert {name.lower() for name in sys.stdlib_module_names if not name.startswith("_")} <= reserved
