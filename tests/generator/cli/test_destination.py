"""Destinations of projects, and failures that change nothing."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Installation, RunFastForge, git


def snapshot(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def test_an_empty_folder_is_filled(fastforge: RunFastForge, work: Path) -> None:
    (work / "a").mkdir(mode=0o750)

    assert fastforge("new", "a").exit_code == 0
    assert (work / "a/.copier-answers.yml").is_file()
    assert (work / "a").stat().st_mode & 0o777 == 0o750


def test_the_current_folder_is_filled(fastforge: RunFastForge, work: Path) -> None:
    inode = work.stat().st_ino

    result = fastforge("new", ".", "--json")

    assert result.document["answers"]["project_name"] == "work"
    assert work.stat().st_ino == inode, "a shell in the folder must still be in it"
    assert not any(command.startswith("cd ") for command in result.document["next"])
    assert not [path for path in work.iterdir() if path.name.startswith(".fastforge")]


def test_without_a_path_the_current_folder_is_filled(fastforge: RunFastForge, work: Path) -> None:
    assert fastforge("new").exit_code == 0
    assert (work / ".copier-answers.yml").is_file()


def test_a_relative_path_may_go_up(fastforge: RunFastForge, work: Path) -> None:
    assert fastforge("new", "../beside", "--json").document["path"] == str(work.parent / "beside")


def test_a_link_to_a_folder_is_followed(fastforge: RunFastForge, work: Path) -> None:
    (work / "real").mkdir()
    (work / "link").symlink_to("real")

    assert fastforge("new", "link", "--json").document["answers"]["project_name"] == "link"
    assert (work / "real/.copier-answers.yml").is_file()


def test_a_folder_with_something_in_it_is_refused(fastforge: RunFastForge, work: Path) -> None:
    (work / "a").mkdir()
    (work / "a/mine.txt").write_text("mine")
    before = snapshot(work)

    result = fastforge("new", "a")

    assert result.exit_code == 2
    assert "is not empty" in result.errors
    assert "--overwrite" in result.errors
    assert snapshot(work) == before


@pytest.mark.parametrize("kind", ["file", "dangling link"])
def test_a_path_that_is_not_a_folder_is_refused(fastforge: RunFastForge, work: Path, kind: str) -> None:
    if kind == "file":
        (work / "a").touch()
    else:
        (work / "a").symlink_to("no")

    for arguments in (["new", "a"], ["new", "a", "--overwrite"]):
        result = fastforge(*arguments)
        assert result.exit_code == 2
        assert "is not a directory" in result.errors


def test_overwrite_replaces_files_of_the_same_name_and_no_others(fastforge: RunFastForge, work: Path) -> None:
    (work / "a/app").mkdir(parents=True)
    mine = {"mine.txt": "mine", "app/mine.py": "mine = 1", ".env": "SECRET=1", "pyproject.toml": "old"}
    for name, text in mine.items():
        (work / "a" / name).write_text(text)

    result = fastforge("new", "a", "--overwrite", "--json")

    assert result.exit_code == 0
    assert (work / "a/pyproject.toml").read_text() != "old"
    for name in ("mine.txt", "app/mine.py", ".env"):
        assert (work / "a" / name).read_text() == mine[name]
    assert set(git(work / "a", "ls-files").splitlines()) == set(result.document["files"])
    assert not [path for path in (work / "a").iterdir() if path.name.startswith(".fastforge")]


def test_overwrite_restores_everything_if_something_is_in_the_way(
    fastforge: RunFastForge, work: Path
) -> None:
    (work / "a/pyproject.toml").mkdir(parents=True)
    (work / "a/pyproject.toml/inside").write_text("mine")
    (work / "a/alembic.ini").write_text("mine")
    (work / "a/app").mkdir()
    (work / "a/app/main.py").write_text("mine")
    before = snapshot(work)

    result = fastforge("new", "a", "--overwrite")

    assert result.exit_code == 1
    assert "pyproject.toml" in result.errors
    assert snapshot(work) == before


def test_the_environment_file_is_never_committed(fastforge: RunFastForge, work: Path) -> None:
    (work / "a").mkdir()
    (work / "a/.env").write_text("SECRET=1")

    fastforge("new", "a", "--overwrite")

    assert ".env" not in git(work / "a", "ls-files").splitlines()


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="root may write anywhere")
@pytest.mark.parametrize("path", ["locked/a", "locked"])
def test_a_folder_that_is_not_writable_is_refused(fastforge: RunFastForge, work: Path, path: str) -> None:
    (work / "locked").mkdir()
    (work / "locked").chmod(0o555)
    as_anybody = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()

    result = fastforge("new", path, wrapper=as_anybody)

    assert result.exit_code == 2
    assert "You may not write into" in result.errors
    assert list((work / "locked").iterdir()) == []


def limit_file_size() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))


def test_a_full_disk_changes_nothing(
    installation: Installation, environment: dict[str, str], work: Path
) -> None:
    (work / "a").mkdir()
    (work / "a/mine.txt").write_text("mine")
    before = snapshot(work)

    # Writing more than 2,000 bytes into one file fails as on a full disk, without needing a disk or root.
    for arguments in (["new", "b"], ["new", "a", "--overwrite"]):
        done = subprocess.run(
            [*installation.command, *arguments],
            cwd=work,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=limit_file_size,
        )
        assert done.returncode == 1
        assert "The disk is full" in done.stderr
        assert "Traceback" not in done.stderr
        assert snapshot(work) == before


@pytest.fixture
def small_disk(work: Path) -> Any:
    disk = work / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=48k", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small file system can only be mounted by root; the limit above stands in for it")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_file_system_changes_nothing(fastforge: RunFastForge, small_disk: Path) -> None:
    result = fastforge("new", str(small_disk / "a"))

    assert result.exit_code == 1
    assert "The disk is full" in result.errors
    assert list(small_disk.iterdir()) == []
