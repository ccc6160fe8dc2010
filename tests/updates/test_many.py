"""Many projects in one command: each on a branch, none of them disturbed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from fastforge.cli.app import run
from fastforge.update.batch import find_projects, update_all

from tests.conftest import git
from tests.updates.conftest import append, commit, commit_new, state


@pytest.fixture
def fleet(
    rendered: Callable[..., Path],
    newest: object,
    tmp_path: Path,
) -> Path:
    """Return a folder of five projects, one for each possible outcome."""

    for name in ("clean", "conflict", "current", "failing", "spoiled"):
        version = "v1.1.0" if name == "current" else "v1.0.0"
        project = shutil.copytree(rendered(version), tmp_path / "fleet" / name)
        passes = "false" if name == "failing" else "true"
        (project / "GNUmakefile").write_text(f"test:\n\t@{passes}\n")
        commit_new(project)
    append(tmp_path / "fleet/conflict/app/forge/http/middleware.py", "\n\n# Ours.\n")
    commit(tmp_path / "fleet/conflict")
    append(tmp_path / "fleet/clean/app/forge/http/middleware.py", "# Not committed.\n")
    (tmp_path / "fleet/spoiled/.copier-answers.yml").write_text("{")
    return tmp_path / "fleet"


def test_each_project_is_updated_without_disturbing_its_work_tree(fleet: Path) -> None:
    before = {folder.name: state(folder) for folder in fleet.iterdir()}

    outcomes = {Path(each.path).name: each for each in update_all(find_projects([str(fleet)]), None, {})}

    assert {name: each.result for name, each in outcomes.items()} == {
        "clean": "updated",
        "conflict": "conflict",
        "current": "current",
        "failing": "failed tests",
        "spoiled": "refused",
    }
    assert {folder.name: state(folder) for folder in fleet.iterdir()} == before
    assert "# Tuned in 1.1." in git(fleet / "clean", "show", "fastforge/v1.1.0:app/forge/http/middleware.py")
    assert git(fleet / "failing", "branch", "--list", "fastforge/*") == ""
    for folder in fleet.iterdir():
        assert len(git(folder, "worktree", "list").splitlines()) == 1


def test_running_it_again_continues_where_it_stopped(fleet: Path, tmp_path: Path) -> None:
    (tmp_path / "list").write_text(f"{fleet / 'clean'}\n{fleet / 'current'}\n")
    paths = find_projects([f"@{tmp_path / 'list'}"])
    first = next(iter(update_all(paths, None, {})))
    tip = git(fleet / "clean", "rev-parse", str(first.branch))

    second, last = update_all(paths, None, {})

    assert (second.result, second.detail, last.result) == ("updated", "already exists", "current")
    assert git(fleet / "clean", "rev-parse", str(second.branch)) == tip


def test_the_command_prints_a_table_and_signals_conflicts(
    fleet: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["update", "--all", str(fleet / "conflict"), str(fleet / "current")]) == 3
    assert "1 conflict, 1 current" in capsys.readouterr().err
