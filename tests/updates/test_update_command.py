"""The commands for people and pipelines: exit codes, JSON, signals, and no network."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import git, pip_install
from tests.updates.conftest import Run, append, commit, contents, state


def test_from_an_old_wheel_to_a_newer_one_on_another_machine(
    run: Run, tmp_path: Path, rendered: Callable[..., Path]
) -> None:
    assert run("v1.0.0", "new", "orders", home="ada").exit_code == 0
    project = tmp_path / "orders"
    assert run("v1.0.0", "check", "orders", home="ada").exit_code == 0
    append(project / "app/items/rules.py", "\n# Ours.\n")
    commit(project)
    shutil.rmtree(tmp_path / "ada")

    checked = run("v1.1.0", "check", "orders", "--json", home="bob")
    dry = run("v1.1.0", "update", "orders", "--dry-run", home="bob")
    updated = run("v1.1.0", "update", "--json", cwd=project, home="bob")

    assert checked.exit_code == 3
    assert [each["title"] for each in checked.document["optimizations"]] == ["Cached reads"]
    assert "+# Tuned in 1.1." in dry.output
    assert updated.exit_code == 0
    assert (updated.document["from"], updated.document["to"]) == ("v1.0.0", "v1.1.0")
    assert (project / "app/items/rules.py").read_text().endswith("# Ours.\n")
    commit(project)
    assert run("v1.1.0", "check", cwd=project, home="bob").exit_code == 0
    assert run("v1.1.0", "update", "--json", cwd=project, home="bob").document["current"] is True
    # And an older FastForge reports that it is older.
    older = run("v1.0.0", "update", cwd=project, home="bob")
    assert older.exit_code == 2
    assert "Upgrade FastForge" in older.errors


def test_a_conflict_exits_with_3_and_can_be_undone(run: Run, project: Path) -> None:
    append(project / "app/forge/http/middleware.py", "\n\n# Ours.\n")
    commit(project)
    before = state(project)

    result = run("v1.1.0", "update", str(project), "--json")

    assert result.exit_code == 3
    assert result.document["conflicts"] == ["app/forge/http/middleware.py"]
    again = run("v1.1.0", "update", str(project))
    assert again.exit_code == 1
    assert "unresolved conflict" in again.errors
    assert run("v1.1.0", "update", "--abort", str(project), "--json").exit_code == 0
    assert state(project) == before


def test_failing_tests_undo_the_update(run: Run, project: Path) -> None:
    (project / "GNUmakefile").write_text("test:\n\t@echo broken; test ! -e app/tuning.py\n")
    commit(project)
    before = state(project)

    result = run("v1.1.0", "update", str(project), "--verify", "--json")

    assert result.exit_code == 1
    assert "tests fail" in result.document["error"]
    assert "broken" in result.errors
    assert state(project) == before


def test_passing_tests_keep_the_update_and_the_benchmark_is_shown(run: Run, project: Path) -> None:
    # make reads it before the template's Makefile.
    (project / "GNUmakefile").write_text("test:\n\t@true\n")
    commit(project)
    python = project / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\nls app/tuning.py 2>&1 || true\n")
    python.chmod(0o755)

    result = run("v1.1.0", "update", str(project), "--verify", "--json")

    assert result.exit_code == 0
    assert result.document["verification"]["tests"] == "passed"
    assert "No such file" in result.document["verification"]["bench_before"]
    assert result.document["verification"]["bench_after"] == "app/tuning.py\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_after_a_signal_at_any_moment_everything_or_nothing_has_changed(
    wheels: dict[str, Path], project: Path, rendered: Callable[..., Path], number: signal.Signals
) -> None:
    before = state(project)
    interrupted = 0
    for attempt in range(10):
        process = subprocess.Popen(
            [sys.executable, "-m", "fastforge", "update"],
            cwd=project,
            env=os.environ | {"PYTHONPATH": str(wheels["v1.1.0"])},
            stderr=subprocess.DEVNULL,
        )
        time.sleep(0.1 + 0.15 * attempt)
        process.send_signal(number)
        if process.wait(timeout=120) == 0:
            assert contents(project) == contents(rendered("v1.1.0"))
            subprocess.run(["git", "reset", "--quiet", "--hard"], cwd=project, check=True)
        else:
            interrupted += 1
        assert state(project) == before
        assert not (project / ".git/index.lock").exists()
    assert interrupted


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--set", "cache"], "has no '='"),
        (["--to", "v7"], "does not know"),
        (["--too", "v7"], "Unknown option"),
        (["nowhere"], "is not a directory"),
        (["--abort"], "has no update to undo"),
    ],
    ids=str,
)
def test_an_error_is_one_json_document(run: Run, project: Path, arguments: list[str], words: str) -> None:
    result = run("v1.1.0", "update", *arguments, "--json", cwd=project)

    assert result.exit_code in (1, 2)
    assert words in result.document["error"]


def test_missing_git_is_reported(run: Run, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    result = run("v1.1.0", "update", str(project))

    assert result.exit_code == 1
    assert "git cannot be run" in result.errors


def test_missing_history_is_reported_with_the_reason(tmp_path: Path, releases: Path, project: Path) -> None:
    git(tmp_path, "clone", "--quiet", "--depth=1", releases.as_uri(), "shallow")
    site = pip_install(tmp_path / "shallow", tmp_path / "site")["PYTHONPATH"]
    command = [sys.executable, "-m", "fastforge", "update", str(project)]
    done = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": site}, capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert "built from a shallow clone" in done.stderr
