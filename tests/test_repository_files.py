"""The files that people look for in a repository: present, valid and correct."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from email import message_from_string
from email.message import Message
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from tests.repository import REPOSITORY
from tests.variants.schemas import SCHEMAS, schema_errors

DECISIONS = REPOSITORY / "docs/decisions"
INDEX_ROW = re.compile(
    r"^\| (\d+) \| \[(.+)\]\((.+)\) \| \d{4}-\d\d-\d\d \| (accepted|(?:superseded|changed) by \d+) \|$"
)
PINNED_ACTION = re.compile(r"^[\w./-]+@[0-9a-f]{40}$")
# `make target`, alone or with variables, in a line of code.
MAKE_TARGET = re.compile(r"\bmake ([a-z][a-z-]*)\b(?!`? of)")


def tracked(*patterns: str) -> list[str]:
    """Return the paths of the repository's files that match."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    done = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True)
    return [path for path in done.stdout.splitlines() if (REPOSITORY / path).is_file()]


def own_documents() -> list[str]:
    """Return the Markdown files about FastForge itself, not those about a generated project."""
    return [path for path in tracked("*.md") if not path.startswith("template/")]


def links(document: Path) -> list[str]:
    """Return the targets of a document's links and images."""
    tokens = MarkdownIt("commonmark").enable("table").parse(document.read_text(encoding="utf-8"))
    inline = [child for token in tokens for child in token.children or ()]
    found = [token.attrs.get("href") or token.attrs.get("src") for token in inline]
    return [str(target) for target in found if target]


def code(document: Path) -> str:
    """Return all code of a document, one piece per line."""
    tokens = MarkdownIt("commonmark").enable("table").parse(document.read_text(encoding="utf-8"))
    every = [token for each in tokens for token in (each, *(each.children or ()))]
    return "\n".join(token.content for token in every if token.type in ("fence", "code_block", "code_inline"))


def targets(makefile: Path) -> set[str]:
    """Return the names of a Makefile's targets."""
    return set(re.findall(r"^([a-z][a-z-]*):", makefile.read_text(encoding="utf-8"), re.MULTILINE))


@pytest.mark.parametrize("document", own_documents())
def test_a_link_leads_to_a_file_of_the_repository(document: str) -> None:
    local = [target for target in links(REPOSITORY / document) if "://" not in target and target[0] != "#"]
    folder = (REPOSITORY / document).parent

    assert [target for target in local if not (folder / target.partition("#")[0]).exists()] == []


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "AGENTS.md"])
def test_a_make_target_that_a_document_names_exists(document: str) -> None:
    known = targets(REPOSITORY / "Makefile") | targets(REPOSITORY / "template/Makefile")

    assert set(MAKE_TARGET.findall(code(REPOSITORY / document))) <= known


def test_the_index_of_decisions_lists_each_once_by_its_title() -> None:
    lines = (DECISIONS / "README.md").read_text(encoding="utf-8").splitlines()
    rows = [row.groups() for row in map(INDEX_ROW.match, lines) if row]
    titles = {
        path.name: path.read_text(encoding="utf-8").splitlines()[0] for path in DECISIONS.glob("[0-9]*.md")
    }

    assert {name: f"# {number}. {title}" for number, title, name, _ in rows} == titles
    assert [int(number) for number, *_ in rows] == list(range(1, len(titles) + 1))
    assert all(name.startswith(f"{int(number):04}-") for number, _, name, _ in rows)


@pytest.mark.parametrize("path", tracked(".github/**/*.yml"))
def test_a_file_for_github_is_valid(path: str) -> None:
    schema = path if path in SCHEMAS else ".github/workflows/ci.yml"

    assert schema_errors(schema, (REPOSITORY / path).read_text(encoding="utf-8")) == []


def test_actions_are_pinned_to_a_commit() -> None:
    workflows = "".join(
        (REPOSITORY / path).read_text(encoding="utf-8") for path in tracked(".github/workflows")
    )
    actions = re.findall(r"uses: (\S+)", workflows)

    assert actions
    assert [action for action in actions if not PINNED_ACTION.match(action)] == []


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """FastForge's wheel, built from the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    subprocess.run(build, cwd=REPOSITORY, check=True, capture_output=True)
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def metadata(wheel: zipfile.ZipFile) -> Message:
    name = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return message_from_string(wheel.read(name).decode())


def test_the_wheel_contains_its_license_and_is_marked_as_typed(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()

    assert "fastforge/py.typed" in names
    assert [name for name in names if name.endswith(".dist-info/licenses/LICENSE")]


@pytest.mark.parametrize(
    "field", ["Author", "Classifier", "Description-Content-Type", "Keywords", "License-Expression", "Summary"]
)
def test_the_wheel_has_the_metadata_that_an_index_shows(wheel: zipfile.ZipFile, field: str) -> None:
    assert metadata(wheel)[field]
