"""Real faults: killed processes, full disks, and directories without write permission."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

import pytest
from fastforge.cli.app import run
from fastforge.errors import report
from fastforge.update.check import check_project

from tests.conftest import git
from tests.updates.conftest import append, commit, commit_new, contents, state, update

Count = Callable[[str], None]
FASTFORGE = [sys.executable, "-m", "fastforge"]
# Runs a command that kills itself at the given step, of those that touch the project or its repository.
DYING = """
import os, signal, sys
from fastforge.update import apply
from fastforge.__main__ import main

left = int(sys.argv.pop(1))

def dying(step):
    def counted(*arguments, **named):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(*arguments, **named)
    return counted

for owner, names in (
    (apply.UpdateTransaction, ("_copy_objects", "_write_new_files", "_write_index")),
    (apply, ("_write_journal", "_bring", "_remove")),
):
    for name in names:
        setattr(owner, name, dying(getattr(owner, name)))
main()
"""
WITHOUT_PRIVILEGES = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()


@pytest.fixture
def count(record_property: Callable[[str, object], None]) -> Count:
    """A function that adds one fault to the table."""
    return lambda fault: record_property("update faults", {fault: 1})


@pytest.fixture
def environment(wheels: dict[str, Path]) -> dict[str, str]:
    """Return the environment in which v1.1.0 is installed."""
    return os.environ | {"PYTHONPATH": str(wheels["v1.1.0"])}


def failure(work: Callable[[], object]) -> str:
    """Return the error of the work in one line, or nothing if it succeeds."""
    try:
        work()
    except Exception as error:  # noqa: BLE001 (as the command does)
        said = StringIO()
        with redirect_stderr(said):
            assert report(error, as_json=False) == 1
        assert len(said.getvalue().splitlines()) == 1
        return said.getvalue()
    return ""


@pytest.fixture
def edited(project: Path) -> Path:
    """Return a project with a conflict to come and a change that is not committed."""
    append(project / "app/forge/http/middleware.py", "\n\n# Ours.\n")
    commit(project)
    append(project / "README.md", "dirty\n")
    return project


# --- SIGKILL ---


def kill_at(step: int, project: Path, environment: dict[str, str]) -> None:
    """Update, and be killed at the step."""
    done = subprocess.run(
        [sys.executable, "-c", DYING, str(step), "update", str(project)],
        env=environment,
        capture_output=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize("step", [1, 2, 3, 4, 5, 8, 12])
def test_after_a_kill_abort_restores_the_project(
    edited: Path, environment: dict[str, str], step: int, count: Count
) -> None:
    before = state(edited)

    kill_at(step, edited, environment)
    failure(lambda: run(["update", "--abort", str(edited)]))

    assert state(edited) == before
    assert not (edited / ".git/index.lock").exists()
    count("SIGKILL of an update; the next command recovers")


@pytest.mark.parametrize("step", [2, 7])
def test_after_a_kill_the_next_update_starts_from_the_old_state(
    project: Path, environment: dict[str, str], step: int, count: Count, rendered: Callable[..., Path]
) -> None:
    kill_at(step, project, environment)
    was_cut_off = "was interrupted" in failure(lambda: check_project(str(project)))

    done = update(project)

    assert done.conflicts == []
    assert bool(done.notes) == was_cut_off == (step == 7)
    assert contents(project) == contents(rendered("v1.1.0"))
    count("SIGKILL of an update; the next command recovers")


def test_two_concurrent_updates_do_not_interfere(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fastforge.errors import WorkFailed
    from fastforge.update import apply

    refusals = []
    bring = apply._bring

    def meanwhile(source: Path, target: Path) -> None:
        with pytest.raises(WorkFailed, match="is running") as refusal:
            update(project)
        refusals.append(refusal)
        bring(source, target)

    monkeypatch.setattr(apply, "_bring", meanwhile)
    update(project)

    assert refusals


# --- Disks ---


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Yield a file system of 8 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a small file system; the limit of file sizes stands in for it")
    yield disk
    subprocess.run(["umount", disk], check=True)


def fill(disk: Path, free_kib: int) -> None:
    """Leave this much free space."""
    (disk / "filler").unlink(missing_ok=True)
    free = shutil.disk_usage(disk).free
    (disk / "filler").write_bytes(b"\0" * max(0, free - free_kib * 1024))


def test_a_full_file_system_does_not_change_the_project(edited: Path, small_disk: Path, count: Count) -> None:
    project = Path(shutil.move(edited, small_disk / "orders"))
    git(project, "status")
    before = state(project)
    failed = 0
    for free_kib in (0, 8, 16, 32, 64, 96):
        fill(small_disk, free_kib)
        if not (said := failure(lambda: update(project))):
            break
        failed += 1
        assert "space" in said or "write" in said
        (small_disk / "filler").unlink()
        assert state(project) == before
        assert not (project / ".git/index.lock").exists()
        count("a full file system")

    assert failed > 2


@pytest.mark.parametrize("bytes_", [0, 3_000, 12_000])
def test_a_file_size_limit_changes_nothing(
    edited: Path, environment: dict[str, str], bytes_: int, count: Count
) -> None:
    before = state(edited)

    done = subprocess.run(
        [*FASTFORGE, "update", str(edited)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_, bytes_)),
    )

    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.stderr
    assert state(edited) == before
    assert not (edited / ".git/index.lock").exists()
    count("files limited in size")


def test_a_read_only_disk_changes_nothing(edited: Path, small_disk: Path, count: Count) -> None:
    project = Path(shutil.move(edited, small_disk / "orders"))
    git(project, "status")
    before = state(project)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)

    assert "Read-only file system" in failure(lambda: update(project))
    assert state(project) == before
    count("a read-only file system")


# --- Permissions ---


@pytest.mark.skipif(
    bool(WITHOUT_PRIVILEGES) and not shutil.which("setpriv"), reason="root may write anywhere"
)
@pytest.mark.parametrize("locked", [".", "app", ".git", ".git/objects", "app/items"])
def test_a_directory_without_write_permission_changes_nothing(
    edited: Path, environment: dict[str, str], locked: str, count: Count
) -> None:
    before = state(edited)
    (edited / locked).chmod(0o555)

    done = subprocess.run(
        [*WITHOUT_PRIVILEGES, *FASTFORGE, "update", str(edited)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    (edited / locked).chmod(0o755)
    assert done.returncode == 1
    assert "ermission" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert state(edited) == before
    assert not (edited / ".git/index.lock").exists()
    count("a folder without write permission")


# --- Many projects ---


@pytest.fixture
def fleet(rendered: Callable[..., Path], tmp_path: Path) -> Path:
    """Return a folder of two projects; the tests of the second hang until the file `go` is there."""
    for name in ("first", "second"):
        project = Path(shutil.copytree(rendered("v1.0.0"), tmp_path / "fleet" / name))
        hang = f"test -e {tmp_path}/go || {{ echo $$$$ > {tmp_path}/pid; exec sleep 60; }}"
        (project / "GNUmakefile").write_text(f"test:\n\t@{hang if name == 'second' else 'true'}\n")
        commit_new(project)
    return tmp_path / "fleet"


def is_running(pid: int) -> bool:
    """Return True if the process is running."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_updates_of_many_projects_continue_after_a_signal(
    fleet: Path, environment: dict[str, str], tmp_path: Path, number: signal.Signals, count: Count
) -> None:
    before = {project.name: state(project) for project in fleet.iterdir()}
    command = [*FASTFORGE, "update", "--all", str(fleet)]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not ((tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(number)
    process.communicate()
    sleeping = int((tmp_path / "pid").read_text())

    assert process.returncode == (-number if number == signal.SIGKILL else 128 + number)
    if number == signal.SIGKILL:
        os.kill(sleeping, signal.SIGKILL)
    while is_running(sleeping):
        assert time.monotonic() < deadline
    assert {project.name: state(project) for project in fleet.iterdir()} == before
    assert "fastforge/v1.1.0" in git(fleet / "first", "branch", "--list", "fastforge/*")
    assert git(fleet / "second", "branch", "--list", "fastforge/*") == ""

    (tmp_path / "go").touch()
    again = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert again.returncode == 0
    assert "already exists" in again.stderr
    assert "2 updated" in again.stderr
    assert {project.name: state(project) for project in fleet.iterdir()} == before
    count(f"{number.name} of an update of many; a second run continues it")
