"""Static checks of every variant: formatted, linted, strictly typed, and nothing but what was chosen."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from collections.abc import Callable
from importlib.metadata import Distribution, packages_distributions
from pathlib import Path
from typing import Any

import pytest
import yaml
from fastforge.template.questions import load_questions
from packaging.requirements import Requirement

from tests.twins import twins
from tests.variants.batches import Batch
from tests.variants.budgets import BUDGETS, budget_of, measured
from tests.variants.environments import (
    EVERY_FILE,
    clean_environment,
    installed,
    normalized,
    site_packages,
)
from tests.variants.rendering import Project
from tests.variants.requirements import closure, declared, listed
from tests.variants.schemas import SCHEMAS, schema_errors
from tests.variants.source_code import imported
from tests.variants.space import Variant

Packages = dict[str, Distribution]
WINDOWS_RESERVED = {
    "con",
    "prn",
    "aux",
    "nul",
    *(f"{device}{n}" for device in ("com", "lpt") for n in range(1, 10)),
}
WINDOWS_UNSAFE = re.compile(r'[<>:"\\|?*\x00-\x1f]|[ .]$')
# GitHub's workflows have `${{ … }}`.
LEFT_OVER_JINJA = re.compile(r"(?<!\$)\{\{|\{%|\{#")
ANSWERS_FILE = ".copier-answers.yml"
# Declared, though nothing imports it.
REASONS = {
    "uvicorn": "whatever the deployment, its workers are Uvicorn's, and `make dev` runs it",
    "fastapi-swagger": "the service serves Swagger UI's files from it, without importing it",
    "httptools": "Uvicorn parses HTTP with it if it is installed",
    "uvloop": "Uvicorn runs on it if it is installed",
    "alembic": "`make migrate` runs it",
    "coverage": "`make coverage` runs it",
    "detect-secrets": "`make audit` runs it",
    "uvicorn-worker": "Gunicorn loads it by its name",
    "sqlalchemy": "Alembic's migrations connect through it",
    "mypy": "`make lint` runs it",
    "pre-commit": "it runs the checks before each commit",
    "ruff": "`make lint` runs it",
    "httpx2": "FastAPI's test client needs it",
    "anyio": "its pytest plugin runs asynchronous tests",
    "pytest": "`make test` runs it",
}
Check = Callable[..., None]
# Names that have other meanings, too: a package, a file format, nothing.
SHARED_WORDS = {"none", "pydantic", "uvicorn", "gzip"}
# Words that only the files of one answer should use.
WORDS = {
    "sqlite": "sqlite",
    "postgres": "postgres|asyncpg",
    "mongodb": "mongo",
    "motor": r"\bmotor\b",
    "redis": "redis|valkey",
    "gunicorn": "gunicorn",
    "nginx": "nginx",
    "orjson": "orjson",
}


# Texts may mention other answers: comments in Python, and this line of a README.
COMPARED = re.compile(r"\.py:\d+: #|If that is too long, cache in Redis or not at all")


@pytest.fixture(scope="session")
def packages(tools: Path) -> Packages:
    return installed(tools)


@pytest.fixture(scope="session")
def distributions_of(tools: Path) -> dict[str, set[str]]:
    """The distributions that bring each module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.path", [str(site_packages(tools))])
        return {module: set(map(normalized, names)) for module, names in packages_distributions().items()}


@pytest.fixture
def check(tools: Path, project: Project) -> Check:
    """Run a tool of the environment in the project, and fail with its output."""

    def run(*command: str) -> None:
        done = subprocess.run(
            [tools / "bin" / command[0], *command[1:]],
            cwd=project.folder,
            env=clean_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}{done.stderr}"

    return run


def test_it_is_formatted(batch: Batch, any_variant: Variant) -> None:
    assert not batch.unformatted[any_variant]


def test_it_has_no_lint(batch: Batch, any_variant: Variant) -> None:
    assert not batch.lint[any_variant]


@pytest.mark.thorough
def test_it_is_strictly_typed(check: Check, types_cache: Path) -> None:
    check("mypy", "--cache-dir", str(types_cache))


def test_it_is_within_the_budgets_of_its_answers(project: Project, any_variant: Variant) -> None:
    has, may_have = measured(project), budget_of(any_variant)

    over = {
        name: f"{count}, at most {may_have[name]}" for name, count in has.items() if count > may_have[name]
    }
    assert not over, f"If that is necessary, raise the row of the answer that needs it in {BUDGETS.name}."


def test_files_for_other_programs_match_their_schemas(project: Project) -> None:
    # Issue forms are only for FastForge's own repository.
    names = [name for name in SCHEMAS if "ISSUE_TEMPLATE" not in name and (project.folder / name).exists()]

    assert not [error for name in names for error in schema_errors(name, project.read(name))]


def test_no_jinja_is_left_over(project: Project) -> None:
    rendered = [name for name in twins() if (project.folder / name).exists()]

    assert not [name for name in rendered if LEFT_OVER_JINJA.search(project.read(name))]
    assert not project.files("*.jinja")


def test_every_file_ends_with_one_newline_and_has_no_blank_line_scars(project: Project) -> None:
    texts = {path: path.read_text(encoding="utf-8") for path in project.files()}

    assert not [path for path, text in texts.items() if text and not re.search(r"[^\n]\n\Z", text)]
    assert not [path for path, text in texts.items() if text.startswith("\n")]
    assert not [path for path, text in texts.items() if re.search(r"[ \t]$", text, re.MULTILINE)]
    other = {path: text for path, text in texts.items() if path.suffix not in {".py", ".mako"}}
    assert not [path for path, text in other.items() if "\n\n\n" in text]


def test_every_name_is_legal_on_windows(project: Project) -> None:
    names = {part for path in project.files() for part in path.relative_to(project.folder).parts}
    paths = [str(path.relative_to(project.folder)) for path in project.files()]

    assert not [name for name in names if WINDOWS_UNSAFE.search(name)]
    assert not [name for name in names if name.partition(".")[0].lower() in WINDOWS_RESERVED]
    assert len({path.lower() for path in paths}) == len(paths)
    assert max(map(len, paths)) <= 120


def test_every_document_parses(project: Project) -> None:
    parsers: dict[str, Callable[[str], Any]] = {
        ".toml": tomllib.loads,
        ".yml": yaml.safe_load,
        ".yaml": yaml.safe_load,
        ".json": json.loads,
    }
    documents = [path for path in project.files() if path.suffix in parsers]

    parsed = [parsers[path.suffix](path.read_text(encoding="utf-8")) for path in documents]

    assert len(parsed) >= 2


def test_no_file_names_a_package_index_or_a_path_of_this_machine(project: Project) -> None:
    banned = re.compile(
        r"pythonhosted|pypi\.org|--index-url|--find-links|file://|/work/|/home/|/root/|/tmp/\S"
    )

    files = [path for path in project.files() if path.name != ANSWERS_FILE]

    assert not [(path.name, hit[0]) for path in files if (hit := banned.search(path.read_text("utf-8")))]


def test_no_file_belongs_to_an_answer_that_was_not_chosen(project: Project, any_variant: Variant) -> None:
    questions = [question for question in load_questions() if question.choices]
    others = {value for question in questions for value in question.choices} - {
        value for _, value in any_variant.answers
    }
    words = re.compile("|".join(rf"(?<![a-z]){value}(?![a-z])" for value in others - SHARED_WORDS))
    paths = [str(path.relative_to(project.folder)) for path in project.files()]

    assert not [path for path in paths if words.search(path)]


def test_no_line_mentions_an_answer_that_was_not_chosen(project: Project, any_variant: Variant) -> None:
    given = {value for _, value in any_variant.answers}
    words = re.compile(
        "|".join(pattern for value, pattern in WORDS.items() if value not in given), re.IGNORECASE
    )
    lines = [
        f"{path.relative_to(project.folder)}:{number}: {line.strip()}"
        for path in project.files()
        if path.name != ANSWERS_FILE
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if words.search(line)
    ]

    assert not [line for line in lines if not COMPARED.search(line)]


def test_the_requirement_files_list_exactly_the_needed_packages(project: Project, packages: Packages) -> None:
    service, development, load = declared(project)

    exact, more = listed(project, "requirements.txt"), listed(project, "requirements-dev.txt")
    most = listed(project, "requirements-load.txt")

    assert exact == closure(service, packages)
    assert exact | more == closure([*service, *development], packages)
    assert exact | more | most == closure([*service, *development, *load], packages)
    assert not exact.keys() & more.keys()
    assert not (exact | more).keys() & most.keys()
    assert "\n-r requirements.txt\n" in project.read("requirements-dev.txt")
    assert "\n-r requirements-dev.txt\n" in project.read("requirements-load.txt")


def test_every_requirement_has_hashes(project: Project) -> None:
    text = "".join(project.read(name) for name in EVERY_FILE)

    assert len(re.findall(r"^\S+==", text, re.MULTILINE)) == len(
        re.findall(r"^\S+==.* \\\n    --hash=sha256:[0-9a-f]{64}", text, re.MULTILINE)
    )


def test_every_import_is_declared(project: Project, distributions_of: dict[str, set[str]]) -> None:
    service, development, load = ({normalized(need.name) for need in needs} for needs in declared(project))
    in_service = [
        path
        for path in project.files("*.py")
        if "tests" not in path.relative_to(project.folder).parts and path.name != "locustfile.py"
    ]

    missing = {name for name in imported(in_service) if not distributions_of[name] & service}
    missing |= {
        name
        for name in imported(project.files("*.py"))
        if not distributions_of[name] & (service | development | load)
    }

    assert not missing


def test_every_declared_dependency_is_imported_or_has_a_reason(
    project: Project, distributions_of: dict[str, set[str]]
) -> None:
    needs: list[Requirement] = [need for needs in declared(project) for need in needs]
    used = set().union(*(distributions_of[name] for name in imported(project.files("*.py"))))

    unused = {normalized(need.name) for need in needs} - used

    assert not unused - REASONS.keys()
