"""The machinery's tests: linted and typed in projects, and run with every answer that they depend on."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import pytest
from fastforge.inspect.kit import applying_folders

from tests.variants import machinery
from tests.variants.environments import clean_environment
from tests.variants.few import Facts, few, singles
from tests.variants.interpreters import Interpreter, run_name, this_interpreter
from tests.variants.machinery import MACHINERY, add_tests, folders_of, shares_of_tests, shop
from tests.variants.machinery import TestFile as File
from tests.variants.machinery import test_files as files_of_tests
from tests.variants.rendering import Project, Renderer
from tests.variants.space import (
    Variant,
    covering_variants,
    default_variant,
    every_variant,
    quick_variants,
    varied_questions,
)

OTHER = Interpreter("3.0", "python3.0")
COMPUTED = {"app_compression"}


def answers(variant: Variant) -> Facts:
    return singles(dict(variant.answers), varied_questions())


# Types differ by answer, not by pairs of answers, and each pair runs.
OTHERS = few(covering_variants(), lambda variant: answers(variant) - answers(default_variant()))


@pytest.fixture(params=[default_variant(), *OTHERS], ids=lambda variant: variant.name)
def tested(request: pytest.FixtureRequest, renderer: Renderer) -> Iterator[Project]:
    """A shop of few variants that have every answer, with the tests that apply to it."""
    project = renderer.render_variant(request.param, shop(request.param["auth"]))
    add_tests(project.folder, request.param)
    yield project
    renderer.remove(project)


def said(tools: Path, project: Project, *command: str) -> str:
    """Return the findings of a tool in the project."""
    done = subprocess.run(
        [tools / "bin" / command[0], *command[1:]],
        cwd=project.folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr if done.returncode else ""


@pytest.mark.thorough
def test_the_machinery_s_tests_are_formatted_without_lint_and_strictly_typed(
    tested: Project, tools: Path, types_cache: Path
) -> None:
    assert not said(tools, tested, "ruff", "format", "--check", "--no-cache")
    assert not said(tools, tested, "ruff", "check", "--no-cache", "--output-format", "concise")
    assert not said(tools, tested, "mypy", "--cache-dir", str(types_cache))


def test_every_folder_is_for_an_answer() -> None:
    folders = {path.name for path in MACHINERY.iterdir() if path.is_dir() and path.name != "__pycache__"}

    assert folders <= set().union(*(folders_of(variant) for variant in every_variant()))


def test_no_two_files_of_a_project_have_the_same_name() -> None:
    for variant in every_variant():
        targets = [target for _, target in machinery.sources(variant)]
        assert len(set(targets)) == len(targets)


def test_axes_are_questions() -> None:
    assert {axis for file in files_of_tests() for axis in file.axes} <= varied_questions() | COMPUTED


@pytest.mark.parametrize("variants", [covering_variants(), every_variant()], ids=["covering", "all"])
def test_every_file_runs_with_every_pair_of_answers_it_depends_on_and_on_every_python(
    variants: tuple[Variant, ...],
) -> None:
    runs = [(variant, python) for variant in variants for python in (this_interpreter(), OTHER)]
    shares = shares_of_tests(runs)

    for file in files_of_tests():
        wanted = set().union(*(pairs_of(file, variant) for variant in variants if file.applies_to(variant)))
        took = [run for run in runs if file in shares[run_name(*run)]]
        pythons = {python for _, python in took}
        assert pythons == {this_interpreter(), OTHER} or (file.on_any_python and len(pythons) == 1), file
        assert set().union(*(pairs_of(file, variant) for variant, _ in took)) == wanted


def pairs_of(file: File, variant: Variant) -> set[frozenset[tuple[str, str]]]:
    """Return every pair of the answers that the file depends on, or the only one."""
    behind_nginx = variant["deployment"] == "nginx"
    known = {**dict(variant.answers), "app_compression": "none" if behind_nginx else variant["compression"]}
    answers = [(axis, str(known[axis])) for axis in file.axes if axis in known]
    return {frozenset(pair) for pair in combinations(answers, min(2, len(answers)))}


def test_a_single_variant_runs_all_tests_that_apply_to_it() -> None:
    for variant in quick_variants():
        (share,) = shares_of_tests([(variant, this_interpreter())]).values()
        assert share == [file for file in files_of_tests() if file.applies_to(variant)]


def test_tests_and_optimizations_apply_to_the_same_variants() -> None:
    for variant in every_variant():
        assert set(applying_folders(dict(variant.answers))) <= folders_of(variant)
