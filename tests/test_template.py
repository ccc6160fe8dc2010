"""The template's own files: default renderings are up to date, and Jinja stays within limits."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.repository import REPOSITORY, TEMPLATE
from tests.twins import ANSWERS, twin_texts, twins
from tests.variants.environments import clean_environment, environment_of_all
from tests.variants.rendering import NOT_TEMPLATE, Project, Renderer

# Options meet in these files; a template decays as their number grows.
MOST_JINJA_LINES_IN_PYTHON = 24


@pytest.fixture(scope="module")
def default_project(renderer: Renderer) -> Project:
    """The project of the default renderings."""
    return renderer.render(ANSWERS)


def template_files() -> list[Path]:
    names = {path: path.relative_to(TEMPLATE).parts for path in TEMPLATE.rglob("*") if path.is_file()}
    return [path for path, parts in names.items() if not NOT_TEMPLATE(str(TEMPLATE), list(parts))]


@pytest.fixture(scope="module")
def expected(renderer: Renderer) -> dict[Path, str]:
    """The expected content of the default renderings."""
    return twin_texts(renderer)


def test_a_default_rendering_is_up_to_date(expected: dict[Path, str]) -> None:
    stale = [twin for twin in twins() if (TEMPLATE / twin).read_text(encoding="utf-8") != expected[twin]]

    assert not stale, "Run: make twins"


def check_in_place(tool: str, *arguments: str) -> None:
    done = subprocess.run(
        [environment_of_all() / "bin" / tool, *arguments],
        cwd=TEMPLATE,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_all_options_are_formatted_in_place() -> None:
    check_in_place("ruff", "format", "--check", "--no-cache")


def test_all_options_are_without_lint_in_place() -> None:
    check_in_place("ruff", "check", "--no-cache")


def test_the_default_variant_is_strictly_typed_in_place(default_project: Project, tmp_path: Path) -> None:
    # Settings that other options need, for packages without types, are only in their projects.
    files = [str(path.relative_to(default_project.folder)) for path in default_project.files("*.py")]

    check_in_place("mypy", "--cache-dir", str(tmp_path), *files)


def test_the_template_in_place_is_the_default_project(default_project: Project) -> None:
    in_project = {path.relative_to(default_project.folder) for path in default_project.files()}
    in_template = {path.relative_to(TEMPLATE) for path in template_files()}

    # The units have the name of the project.
    named = {path for path in in_project if path.is_relative_to("deploy/systemd")}
    assert in_project - named - {Path(".copier-answers.yml")} <= in_template


def test_only_jinja_files_contain_jinja() -> None:
    plain = [path for path in template_files() if path.suffix == ".py" and not path.name.endswith(".jinja")]

    assert not [path for path in plain if "{%" in path.read_text(encoding="utf-8")]


def test_jinja_files_of_python_stay_tiny() -> None:
    # The files of a resource list its fields.
    joints = [path for path in template_files() if path.name.endswith(".py.jinja") and "{%" not in str(path)]

    lines = {
        path.name: len(re.findall(r"^.*\{[{%].*$", path.read_text("utf-8"), re.MULTILINE)) for path in joints
    }

    assert max(lines.values()) <= MOST_JINJA_LINES_IN_PYTHON, lines


def test_generation_runs_no_commands_and_needs_no_trust() -> None:
    config = yaml.safe_load((REPOSITORY / "copier.yml").read_text(encoding="utf-8"))

    assert not config.keys() & {"_tasks", "_migrations", "_jinja_extensions", "_external_data"}


def test_each_package_is_pinned_once_in_alphabetical_order() -> None:
    text = (TEMPLATE / "requirements.txt.jinja").read_text(encoding="utf-8")

    names = re.findall(r"^([a-z0-9-]+)==", text, re.MULTILINE)

    assert names == sorted(set(names))
