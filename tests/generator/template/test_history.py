"""The history in FastForge, and the source that projects record from it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from tests.conftest import Result, build, commit_all, copy_checkout, git, pip_install


def run(site: Mapping[str, str], home: Path, cwd: Path, *arguments: str) -> Result:
    variables = {**site, "HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1"}
    variables.pop("XDG_DATA_HOME", None)
    command = [sys.executable, "-m", "fastforge", *arguments]
    done = subprocess.run(command, cwd=cwd, env=variables, capture_output=True, text=True, check=False)
    return Result(done.returncode, done.stdout, done.stderr)


def recorded(project: Path) -> dict[str, str]:
    answers: dict[str, str] = yaml.safe_load((project / ".copier-answers.yml").read_text())
    return answers


def copier_update(project: Path, tmp_path: Path, home: Path) -> None:
    variables = {"HOME": str(home), "COPIER_CACHE_DIR": str(tmp_path / "copier")}
    command = [sys.executable, "-m", "copier", "update", "--defaults", "--quiet"]
    subprocess.run(command, cwd=project, env=os.environ | variables, check=True)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    folder = copy_checkout(tmp_path / "clone")
    commit_all(folder, "v1.0.0")
    return folder


def release(clone: Path, tag: str, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (clone / name).write_text(text)
    git(clone, "add", "--all")
    git(clone, "commit", "--quiet", "-m", tag)
    git(clone, "tag", tag)


def test_a_wheel_records_a_repository_that_plain_copier_updates_from(
    clone: Path, tmp_path: Path, home: Path, work: Path
) -> None:
    old = pip_install(build("wheel", clone, tmp_path / "old"), tmp_path / "old-site")
    release(clone, "v1.1.0", {"template/NEWS.md": "new\n"})
    new = pip_install(build("wheel", clone, tmp_path / "new"), tmp_path / "new-site")
    shutil.rmtree(clone)

    assert run(old, home, work, "new", "a").exit_code == 0
    url = f"git+{(home / '.local/share/fastforge/template.git').as_uri()}"
    assert (recorded(work / "a")["_src_path"], recorded(work / "a")["_commit"]) == (url, "v1.0.0")
    # A newer wheel completes the repository.
    run(new, home, work, "new", "b")
    copier_update(work / "a", tmp_path, home)

    assert (work / "a/NEWS.md").read_text() == "new\n"
    assert recorded(work / "a")["_commit"] == "v1.1.0"


def test_a_missing_clone_is_replaced_by_the_history_in_the_installation(
    clone: Path, tmp_path: Path, home: Path, work: Path
) -> None:
    site = pip_install(clone, tmp_path / "site")
    shutil.rmtree(clone)

    document = run(site, home, work, "new", "a", "--json").document

    assert document["source"]["url"].endswith("/.local/share/fastforge/template.git")
    copied = tmp_path / "copied"
    command = [sys.executable, "-m", "copier", "copy", "--defaults", "--quiet", document["source"]["url"]]
    subprocess.run([*command, str(copied)], check=True, env=os.environ | {"HOME": str(home)})
    assert (copied / "app/main.py").is_file()


def test_a_dry_run_keeps_no_repository(clone: Path, tmp_path: Path, home: Path, work: Path) -> None:
    site = pip_install(build("wheel", clone, tmp_path / "wheel"), tmp_path / "site")

    assert run(site, home, work, "new", "a", "--dry-run").exit_code == 0
    assert list(home.iterdir()) == []


def test_a_home_that_is_not_writable_is_reported(clone: Path, tmp_path: Path, home: Path, work: Path) -> None:
    site = pip_install(build("wheel", clone, tmp_path / "wheel"), tmp_path / "site")
    (home / ".local").write_text("in the way")

    result = run(site, home, work, "new", "a")

    assert result.exit_code == 0
    assert "cannot be updated" in result.errors
    assert "_src_path" not in recorded(work / "a")


def test_a_shallow_clone_contains_no_history(clone: Path, tmp_path: Path, home: Path, work: Path) -> None:
    release(clone, "v1.1.0", {"template/NEWS.md": "new\n"})
    git(tmp_path, "clone", "--quiet", "--depth=1", clone.as_uri(), "shallow")
    site = Path(pip_install(tmp_path / "shallow", tmp_path / "site")["PYTHONPATH"])

    facts = json.loads((site / "fastforge/_template/build.json").read_text())

    assert facts["no_history"] == "it was built from a shallow clone"
    assert not (site / "fastforge/_template/history.bundle").exists()
