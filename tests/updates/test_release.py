"""A release is only tagged when everything about it is there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import commit_all, git
from tests.release import release_problems
from tests.updates.conftest import append, commit, edit

COPIER = """
database:
  type: str
  help: Where?
  choices: {A: a, B: b}
  default: a
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a repository that is ready for 1.1.0, after 1.0.0."""
    root = tmp_path / "checkout"
    (root / "docs/releases").mkdir(parents=True)
    (root / "template").mkdir()
    (root / "template/main.py").write_text("one = 1\ntwo = 2\nthree = 3\n")
    (root / "copier.yml").write_text(COPIER)
    (root / "receipt.json").write_text("{}")
    (root / "CHANGELOG.md").write_text("## 1.0.0, 2026-11-01\n")
    (root / "pyproject.toml").write_text('[project]\nversion = "1.0.0"\n')
    commit_all(root, "v1.0.0")
    edit(root / "pyproject.toml", "1.0.0", "1.1.0")
    append(root / "CHANGELOG.md", "## 1.1.0, 2026-12-01\n")
    (root / "docs/releases/1.1.0.toml").write_text(
        'version = "1.1.0"\ndate = "2026-12-01"\nsummary = "More."\n'
        '[[optimizations]]\ntitle = "Fast"\neffect = "2 x"\n'
        'receipt = "receipt.json"\nonly = { database = ["a"] }\n'
    )
    return commit(root)


def test_a_complete_release_is_ready(checkout: Path) -> None:
    assert release_problems(checkout, "1.1.0") == []


def rename_choice(root: Path) -> None:
    edit(root / "copier.yml", "B: b", "B: c")


def rename_file(root: Path) -> None:
    git(root, "mv", "template/main.py", "template/other.py")


def lose_receipt(root: Path) -> None:
    (root / "receipt.json").unlink()


def lose_record(root: Path) -> None:
    (root / "docs/releases/1.1.0.toml").unlink()


def misspell_key(root: Path) -> None:
    append(root / "docs/releases/1.1.0.toml", 'efect = "1"\n')


def misspell_answer(root: Path) -> None:
    edit(root / "docs/releases/1.1.0.toml", '["a"]', '["x"]')


def forget_changelog(root: Path) -> None:
    edit(root / "CHANGELOG.md", "## 1.1.0, 2026-12-01", "## 1.1.0, not released yet")


def forget_version(root: Path) -> None:
    edit(root / "pyproject.toml", "1.1.0", "1.0.0")


SPOILED = {
    rename_choice: "The choice 'b' of database is gone",
    rename_file: "A template file was renamed",
    lose_receipt: "has no receipt",
    lose_record: "1.1.0.toml",
    misspell_key: "'efect'",
    misspell_answer: "names no answer of database: 'x'",
    forget_changelog: "CHANGELOG.md has no heading",
    forget_version: "pyproject.toml says 1.0.0",
}


@pytest.mark.parametrize(("spoil", "words"), SPOILED.items(), ids=lambda each: getattr(each, "__name__", ""))
def test_missing_parts_of_a_release_are_named(
    checkout: Path, spoil: Callable[[Path], None], words: str
) -> None:
    spoil(checkout)
    commit(checkout)

    (problem,) = release_problems(checkout, "1.1.0")

    assert words in problem


def test_uncommitted_changes_and_old_versions_are_named(checkout: Path) -> None:
    (checkout / "new").write_text("")

    assert "There are uncommitted changes." in release_problems(checkout, "1.1.0")
    assert "v1.0.0 is not older." in release_problems(checkout, "0.9.0")
    assert release_problems(checkout, "next") == ["VERSION is not a version such as 1.2.3."]
