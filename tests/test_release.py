"""A release is built only if it is complete, and its distributions work without a network."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from fastforge.template.history import release_number
from packaging.version import Version

from hatch_build import project_version
from tests.conftest import commit_all, copy_checkout, git
from tests.updates.conftest import append, commit, edit
from tools.release import build_release, release_problems

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
    (root / "measurement.json").write_text("{}")
    (root / "CHANGELOG.md").write_text("## 1.0.0, 2026-11-01\n")
    commit_all(root, "v1.0.0")
    append(root / "CHANGELOG.md", "## 1.1.0, 2026-12-01\n")
    (root / "docs/releases/1.1.0.toml").write_text(
        'version = "1.1.0"\ndate = "2026-12-01"\nsummary = "More."\n'
        '[[optimizations]]\ntitle = "Fast"\neffect = "2 x"\n'
        'measurement = "measurement.json"\nonly = { database = ["a"] }\n'
    )
    return commit(root)


def test_a_complete_release_is_ready(checkout: Path) -> None:
    assert release_problems(checkout, "1.1.0") == []


def rename_choice(root: Path) -> None:
    edit(root / "copier.yml", "B: b", "B: c")


def rename_file(root: Path) -> None:
    git(root, "mv", "template/main.py", "template/other.py")


def lose_measurement(root: Path) -> None:
    (root / "measurement.json").unlink()


def lose_record(root: Path) -> None:
    (root / "docs/releases/1.1.0.toml").unlink()


def misspell_key(root: Path) -> None:
    append(root / "docs/releases/1.1.0.toml", 'efect = "1"\n')


def misspell_answer(root: Path) -> None:
    edit(root / "docs/releases/1.1.0.toml", '["a"]', '["x"]')


def forget_changelog(root: Path) -> None:
    edit(root / "CHANGELOG.md", "## 1.1.0, 2026-12-01", "## 1.1.0, not released yet")


SPOILED = {
    rename_choice: "The choice 'b' of database is gone",
    rename_file: "A template file was renamed",
    lose_measurement: "has no measurement",
    lose_record: "1.1.0.toml",
    misspell_key: "'efect'",
    misspell_answer: "names an unknown answer to database: 'x'",
    forget_changelog: "CHANGELOG.md has no heading",
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


def test_the_version_is_that_of_the_tag(checkout: Path) -> None:
    git(checkout, "tag", "v1.1.0")

    assert project_version(checkout) == "1.1.0"


def test_between_releases_the_version_is_a_development_version(checkout: Path) -> None:
    commit_hash = git(checkout, "rev-parse", "--short", "HEAD")

    assert project_version(checkout) == f"1.0.1.dev1+g{commit_hash}"
    (checkout / "copier.yml").write_text("")
    assert project_version(checkout) == f"1.0.1.dev1+g{commit_hash}.dirty"
    assert Version("1.0.0") < Version(project_version(checkout)) < Version("1.0.1")


def test_without_tags_or_git_there_is_a_version(checkout: Path) -> None:
    git(checkout, "tag", "--delete", "v1.0.0")
    assert Version(project_version(checkout)).is_devrelease

    shutil.rmtree(checkout / ".git")
    assert project_version(checkout) == "0"


@pytest.mark.thorough
def test_a_release_is_built_from_a_clean_clone_and_generates_projects_without_a_network(
    tmp_path: Path,
) -> None:
    clone = copy_checkout(tmp_path / "clone")
    commit_all(clone, "v0.0.9")
    before = git(clone, "tag"), git(clone, "status", "--porcelain")
    records = (file.stem for file in (clone / "docs/releases").glob("*.toml"))
    version = max(records, key=lambda name: release_number(name) or ())
    assert release_problems(clone, version) == []

    built = build_release(clone, version, clone / "dist")

    assert sorted(file.name for file in (clone / "dist").iterdir()) == [
        f"fastforge_template-{version}-py3-none-any.whl",
        f"fastforge_template-{version}.tar.gz",
    ]
    assert {file.parent for file in built} == {clone / "dist"}
    assert (git(clone, "tag"), git(clone, "status", "--porcelain")) == before
