"""Edits that stock `copier update` loses and `fastforge update` keeps.

A failure of the first half is good news: Copier fixed it. Then document that in docs/usage.md and
decision 11, and delete the half that shows the loss; FastForge's behavior stays tested.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from copier._cli import CopierApp
from copier._tools import scantree
from fastforge.errors import UserError
from fastforge.update.run import Update
from jinja2 import UndefinedError
from plumbum import local

from tests.conftest import commit_all, git
from tests.updates.conftest import commit, commit_new, edit, release, state, update

MENDED = "Copier no longer loses this: see the first lines of this file for what to do."
LINES = "".join(f"line {number}\n" for number in range(1, 30))
QUESTIONS = """
_subdirectory: template
_templates_suffix: .jinja
_envops: {undefined: jinja2.StrictUndefined}
database:
  type: str
  help: Where?
  choices: {Lite: lite, Great: great}
  default: lite
"""


@dataclass
class Twins:
    """Two equal projects of one template; changes apply to both."""

    template: Path
    by_copier: Path
    by_fastforge: Path
    update: Callable[[], Update]

    def edit(self, change: Callable[[Path], None]) -> None:
        """Edit and commit both."""
        for project in (self.by_copier, self.by_fastforge):
            change(project)
            commit(project)

    def update_with_copier(self) -> int:
        """Return the exit code of `copier update`."""
        arguments = ["copier", "update", "--defaults", "--quiet", str(self.by_copier)]
        # Plumbum keeps the environment from its import.
        with local.env(**os.environ):
            _, code = CopierApp.run(arguments, exit=False)
        return int(code or 0)


@pytest.fixture
def twins(tmp_path: Path, newest: Callable[..., None]) -> Twins:
    """Return two projects of the first release of a template."""
    template = tmp_path / "template"
    (template / "template").mkdir(parents=True)
    (template / "copier.yml").write_text(QUESTIONS)
    for name in ("service.py", "other.py", "dropped.py", "old_name.py"):
        (template / "template" / name).write_text(f"# {name}\n{LINES}")
    answers = "{{ _copier_answers | to_nice_yaml }}"
    (template / "template/{{ _copier_conf.answers_file }}.jinja").write_text(answers)
    commit_all(template, "v1.0.0")
    source = f"git+{template.as_uri()}"
    CopierApp.run(
        ["copier", "copy", "--defaults", "--quiet", source, str(tmp_path / "copier/orders")], exit=False
    )
    by_copier = commit_new(tmp_path / "copier/orders")
    by_fastforge = Path(shutil.copytree(by_copier, tmp_path / "fastforge/orders"))
    newest("v2.0.0", template)
    return Twins(template, by_copier, by_fastforge, lambda: update(by_fastforge))


def next_release(twins: Twins, change: Callable[[Path], None] = lambda _: None) -> None:
    """Release a template that differs at the end of two files, and where `change` changes it."""
    for name in ("service.py", "other.py"):
        edit(twins.template / "template" / name, "line 29\n", "line 29, faster\n")
    change(twins.template)
    release(twins.template, "v2.0.0")


def test_one_trailing_blank_and_a_whitespace_setting_cost_every_edit(twins: Twins) -> None:
    def write(project: Path) -> None:
        edit(project / "service.py", "line 1\n", "line 1\nours  \n")
        edit(project / "other.py", "line 1\n", "line 1\nours as well\n")

    (Path.home() / ".gitconfig").write_text("[apply]\n\twhitespace = error\n")
    twins.edit(write)
    next_release(twins)

    assert twins.update_with_copier() == 0
    assert "ours as well" not in (twins.by_copier / "other.py").read_text(), MENDED

    assert twins.update().conflicts == []
    assert "ours  \n" in (twins.by_fastforge / "service.py").read_text()
    assert "ours as well\n" in (twins.by_fastforge / "other.py").read_text()


def test_bytes_that_are_not_utf_8_are_dropped(twins: Twins) -> None:
    def write(project: Path) -> None:
        content = (project / "service.py").read_bytes()
        (project / "service.py").write_bytes(content.replace(b"line 1\n", b"line 1\n# caf\xe9\n"))

    twins.edit(write)
    next_release(twins)

    assert twins.update_with_copier() == 0
    assert b"# caf\xe9\n" not in (twins.by_copier / "service.py").read_bytes(), MENDED

    assert twins.update().conflicts == []
    assert b"# caf\xe9\n" in (twins.by_fastforge / "service.py").read_bytes()


def rename(template: Path) -> None:
    git(template, "mv", "template/old_name.py", "template/new_name.py")


def drop(template: Path) -> None:
    git(template, "rm", "--quiet", "template/dropped.py")


@pytest.mark.parametrize(("change", "name"), [(rename, "old_name.py"), (drop, "dropped.py")])
def test_edits_of_a_file_that_is_renamed_or_dropped_vanish(
    twins: Twins, change: Callable[[Path], None], name: str
) -> None:
    twins.edit(lambda project: edit(project / name, "line 1\n", "line 1\nours\n"))
    next_release(twins, change)

    assert twins.update_with_copier() == 0
    left = [file for file in twins.by_copier.iterdir() if file.is_file()]
    assert not any("ours\n" in file.read_text() for file in left), MENDED

    twins.update()
    assert any("ours\n" in file.read_text() for file in twins.by_fastforge.glob("*.py"))


def test_an_answer_whose_value_was_renamed_becomes_the_default(twins: Twins) -> None:
    twins.edit(lambda project: edit(project / ".copier-answers.yml", "lite", "great"))

    def rename_value(template: Path) -> None:
        edit(template / "copier.yml", "Great: great", "Great: greatest")

    next_release(twins, rename_value)
    before = state(twins.by_fastforge)

    assert twins.update_with_copier() == 0
    assert "database: lite" in (twins.by_copier / ".copier-answers.yml").read_text(), MENDED

    with pytest.raises(UserError, match=r"do not fit v2\.0\.0"):
        twins.update()
    assert state(twins.by_fastforge) == before


def broken_last(path: str, follow_symlinks: bool) -> list[os.DirEntry[str]]:
    return sorted(scantree(path, follow_symlinks), key=lambda entry: "zzz" in entry.name)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Copier leaves a folder open
def test_an_error_midway_leaves_a_partly_updated_tree(twins: Twins, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_a_file(template: Path) -> None:
        (template / "template/zzz.py.jinja").write_text("{{ nothing }}")

    twins.edit(lambda project: edit(project / "service.py", "line 1\n", "line 1\nours\n"))
    next_release(twins, break_a_file)
    before = state(twins.by_fastforge)

    # The file system determines the order; the broken file comes last.
    monkeypatch.setattr("copier._main.scantree", broken_last)
    with pytest.raises(UndefinedError):
        twins.update_with_copier()
    assert "_commit: v2.0.0" in (twins.by_copier / ".copier-answers.yml").read_text(), MENDED

    with pytest.raises(UserError, match="nothing"):
        twins.update()
    assert state(twins.by_fastforge) == before


def test_conflicts_look_like_success(twins: Twins) -> None:
    twins.edit(lambda project: edit(project / "service.py", "line 29\n", "line 29, ours\n"))
    next_release(twins)

    assert twins.update_with_copier() == 0, MENDED

    assert twins.update().conflicts == ["service.py"]
