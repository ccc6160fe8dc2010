"""The first commit, and projects without one."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.conftest import GIT_IDENTITY, RunFastForge, git


def test_a_configured_identity_is_used(fastforge: RunFastForge, home: Path, work: Path) -> None:
    (home / ".gitconfig").write_text("[user]\n\tname = Ada\n\temail = ada@example.org\n")

    fastforge("new", "a")

    assert git(work / "a", "log", "--format=%an <%ae> %cn") == "Ada <ada@example.org> Ada"


def test_an_identity_in_the_environment_is_used(fastforge: RunFastForge, work: Path) -> None:
    fastforge("new", "a", variables=GIT_IDENTITY)

    assert git(work / "a", "log", "--format=%an <%ae>") == "Tess Ter <tess@example.org>"


def test_half_an_identity_is_completed(fastforge: RunFastForge, home: Path, work: Path) -> None:
    (home / ".gitconfig").write_text("[user]\n\tname = Ada\n")

    fastforge("new", "a")

    assert git(work / "a", "log", "--format=%an <%ae>") == "Ada <fastforge@localhost>"


def test_no_git_creates_no_repository(fastforge: RunFastForge, work: Path) -> None:
    document = fastforge("new", "a", "--no-git", "--json").document

    assert not (work / "a/.git").exists()
    assert document["commit"] is None
    assert "--no-git" in document["command"]


def test_no_repository_is_created_inside_another(fastforge: RunFastForge, work: Path) -> None:
    git(work, "init", "--quiet")

    result = fastforge("new", "a")

    assert result.exit_code == 0
    assert not (work / "a/.git").exists()
    assert "is inside one" in result.errors


def test_an_empty_repository_is_filled_and_left_uncommitted(fastforge: RunFastForge, work: Path) -> None:
    git(work, "init", "--quiet")

    assert fastforge("new", ".", "--overwrite").exit_code == 0
    assert "?? pyproject.toml" in git(work, "status", "--porcelain")


def test_without_git_it_reports_the_consequences(fastforge: RunFastForge, work: Path, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()

    result = fastforge("new", "a", variables={"PATH": str(tmp_path / "bin")})

    assert result.exit_code == 0
    assert (work / "a/.copier-answers.yml").is_file()
    assert "git cannot be run" in result.errors
    assert "need a first commit" in result.errors


def test_a_broken_git_configuration_is_reported_with_the_consequences(
    fastforge: RunFastForge, home: Path, work: Path
) -> None:
    (home / ".gitconfig").write_text("[user\nname=")

    result = fastforge("new", "a", "--json")

    assert result.exit_code == 0
    assert not (work / "a/.git").exists()
    assert "bad config" in result.document["notes"][0]
    assert "need a first commit" in result.errors


HOSTILE_SETTINGS = """
[commit]
    gpgSign = true
[core]
    autocrlf = true
    safecrlf = true
    hooksPath = {home}/hooks
    excludesFile = {home}/ignored
[init]
    defaultBranch = trunk
"""


def test_hooks_signatures_and_ignore_files_of_the_user_do_not_stop_the_commit(
    fastforge: RunFastForge, home: Path, work: Path
) -> None:
    (home / ".gitconfig").write_text(HOSTILE_SETTINGS.format(home=home))
    (home / "ignored").write_text("*.toml\n.*\n")
    (home / "hooks").mkdir()
    for name in ("pre-commit", "commit-msg"):
        (home / "hooks" / name).write_text("#!/bin/sh\nexit 1\n")
        (home / "hooks" / name).chmod(0o755)

    document = fastforge("new", "a", "--json").document

    assert set(git(work / "a", "ls-files").splitlines()) == set(document["files"])
    assert git(work / "a", "branch", "--show-current") == "trunk"


def test_a_git_hook_can_generate_a_project(fastforge: RunFastForge, work: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "--quiet")
    variables = {
        "GIT_DIR": str(other / ".git"),
        "GIT_WORK_TREE": str(other),
        "GIT_INDEX_FILE": str(other / ".git/i"),
    }

    fastforge("new", "a", variables=variables)

    assert git(work / "a", "status", "--porcelain") == ""
    assert not (other / ".git/i").exists()


def test_executable_files_stay_executable(fastforge: RunFastForge, installation: object, work: Path) -> None:
    clone: Path = installation.clone  # type: ignore[attr-defined]
    executable = {
        path.relative_to(clone / "template").as_posix()
        for path in (clone / "template").rglob("*")
        if path.is_file() and path.stat().st_mode & stat.S_IXUSR
    }

    files = fastforge("new", "a", "--json").document["files"]

    for name in files:
        rendered_executable = bool((work / "a" / name).stat().st_mode & stat.S_IXUSR)
        assert rendered_executable == bool({name, f"{name}.jinja"} & executable)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can create a repository of another user")
def test_a_surrounding_repository_of_another_user_is_reported(fastforge: RunFastForge, work: Path) -> None:
    git(work, "init", "--quiet")
    for path in [work, *work.rglob("*")]:
        shutil.chown(path, 65534)

    result = fastforge("new", "a")

    assert result.exit_code == 0
    assert "dubious ownership" in result.errors
    assert subprocess.run(["test", "-e", work / "a/.git"], check=False).returncode == 1


@pytest.mark.parametrize("inside", ["orders", "services/my 'api' & more|x"])
def test_a_workflow_inside_a_repository_can_be_copied_to_its_top(
    fastforge: RunFastForge, work: Path, inside: str
) -> None:
    git(work, "init", "--quiet")
    (work / inside).parent.mkdir(parents=True, exist_ok=True)
    result = fastforge("new", inside, "--project-name", "Orders API", "--json")
    (note,) = [note for note in result.document["notes"] if "GitHub" in note]
    commands = [line for line in note.splitlines() if line.startswith("  ")]
    subprocess.run(["sh", "-ec", "\n".join(commands)], cwd="/", check=True)

    (copied,) = (work / ".github/workflows").iterdir()
    workflow, own = (
        yaml.safe_load(path.read_text()) for path in (copied, work / inside / ".github/workflows/ci.yml")
    )
    assert workflow.pop("defaults") == {"run": {"working-directory": inside}}
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    setups = [step["with"] for step in steps if "setup-python" in str(step)]
    assert setups
    for setup in setups:
        assert (work / setup["cache-dependency-path"]).is_file()
        setup["cache-dependency-path"] = "requirements-dev.txt"
    assert workflow == own


def test_at_the_top_of_a_repository_workflows_need_no_note(fastforge: RunFastForge, work: Path) -> None:
    assert "GitHub" not in fastforge("new", "alone").errors
    (work / "filled").mkdir()
    git(work / "filled", "init", "--quiet")
    assert "GitHub" not in fastforge("new", "filled", "--overwrite").errors
