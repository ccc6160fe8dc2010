"""The tests of the machinery, app/forge: those that apply to a variant, and those that run in it.

`tests/machinery` has a directory for each answer with tests: `every` for all, `folders_of` has the rest.
They run in a project with the resources of `shop.yml`. AXES in each file names the questions that its outcome
depends on: it runs with every pair of answers to them, and on every Python, but not in every variant.
"""

from __future__ import annotations

import ast
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from fastforge.inspect.kit import applying_folders

from tests.repository import REPOSITORY
from tests.variants.few import Facts, few, pairs, singles
from tests.variants.interpreters import Interpreter, run_name
from tests.variants.space import Variant

MACHINERY = REPOSITORY / "tests/machinery"
# Their directory in a project.
PLACE = Path("tests/machinery")
ONE_RUN = tuple[Variant, Interpreter]


@dataclass(frozen=True)
class TestFile:
    """A file of tests: in a directory of `tests/machinery`, or the shop's own, which every variant has."""

    __test__ = False

    # Relative to a project.
    path: str
    folder: str
    axes: tuple[str, ...]
    # ON_ANY_PYTHON in the file: what is tested is a database, which is the same for each Python.
    on_any_python: bool = False

    def applies_to(self, variant: Variant) -> bool:
        """Return whether a project of this variant has the code that they test."""
        return self.folder in folders_of(variant)

    def facts(self, run: ONE_RUN) -> Facts:
        """Return what it proves in this run: each pair of answers to its questions, and the Python."""
        variant, python = run
        answers = {**_computed(variant), "python": python.version}
        return pairs(answers, self.axes) | singles(answers, [] if self.on_any_python else ["python"])


# Rendered by the template for the fields of the shop: three references, every type and option.
SHOP_TESTS = TestFile("tests/test_*.py", "every", ("database", "mongodb_driver", "cache", "serializer"))


@cache
def shop(auth: str | None = "none") -> list[dict[str, Any]]:
    """Return the resources of the project in which the tests run. Some are owned if it knows its callers."""
    document: dict[str, list[dict[str, Any]]] = yaml.safe_load((MACHINERY / "shop.yml").read_text("utf-8"))
    return document["resources"] + (document["owned"] if auth != "none" else [])


@cache
def test_files() -> tuple[TestFile, ...]:
    """Return all files of tests."""
    files = sorted(MACHINERY.glob("*/test_*.py"))
    return SHOP_TESTS, *(
        TestFile(str(PLACE / file.name), file.parent.name, axes_in(text), "\nON_ANY_PYTHON = True\n" in text)
        for file in files
        for text in [file.read_text("utf-8")]
    )


@cache
def folders_of(variant: Variant) -> frozenset[str]:
    """Return the folders of `tests/machinery` that apply to the variant."""
    migrated = {"migrated"} if variant["database"] != "mongodb" else set()
    return frozenset({*applying_folders(dict(variant.answers)), *migrated})


def sources(variant: Variant) -> Iterator[tuple[Path, Path]]:
    """Yield each file that a project of this variant gets, and its path there."""
    for folder in sorted(folders_of(variant)):
        for file in sorted((MACHINERY / folder).rglob("*.py")):
            yield file, PLACE / file.relative_to(MACHINERY / folder)


def add_tests(project: Path, variant: Variant) -> None:
    """Copy the tests that apply to the variant into its project."""
    for source, target in sources(variant):
        (project / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, project / target)


def shares_of_tests(runs: Sequence[ONE_RUN]) -> dict[str, list[TestFile]]:
    """Return the files of each run, by its name; among equal runs, the one with the fewest files has it."""
    shares: dict[str, list[TestFile]] = {run_name(*run): [] for run in runs}
    for file in test_files():
        candidates = [run for run in runs if file.applies_to(run[0])]
        busy = Counter({run: len(shares[run_name(*run)]) for run in candidates})
        for run in few(candidates, file.facts, busy.__getitem__):
            shares[run_name(*run)].append(file)
    return shares


def _computed(variant: Variant) -> Mapping[str, str]:
    """Return the answers, with the compression of the app itself: behind Nginx, none."""
    answers = dict(variant.answers)
    behind_nginx = answers["deployment"] == "nginx"
    return {**answers, "app_compression": "none" if behind_nginx else answers["compression"]}


def axes_in(source: str) -> tuple[str, ...]:
    for statement in ast.parse(source).body:
        match statement:
            case ast.AnnAssign(target=ast.Name(id="AXES"), value=ast.expr() as value):
                return tuple(ast.literal_eval(value))
    raise ValueError("AXES is missing: the questions that the outcome depends on.")
