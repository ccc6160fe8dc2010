"""Ctrl-C and SIGTERM at any moment: either everything is written, or nothing."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import Installation, git

MOMENTS = 20


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_after_a_signal_at_any_moment_everything_or_nothing_has_changed(
    installation: Installation, environment: dict[str, str], work: Path, number: signal.Signals
) -> None:
    moments = random.Random(number)
    outcomes = set()
    for attempt in range(MOMENTS):
        parent = work / str(attempt)
        parent.mkdir()
        outcomes.add(interrupt(installation, environment, parent, number, moments.uniform(0.05, 0.9)))
    assert 128 + number in outcomes


def interrupt(
    installation: Installation,
    environment: dict[str, str],
    parent: Path,
    number: signal.Signals,
    delay: float,
) -> int:
    process = subprocess.Popen(
        [*installation.command, "new", "a"], cwd=parent, env=environment, stderr=subprocess.PIPE, text=True
    )
    time.sleep(delay)
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    if process.returncode == 0:
        assert [path.name for path in parent.iterdir()] == ["a"]
        assert git(parent / "a", "status", "--porcelain") == ""
        return 0
    assert list(parent.iterdir()) == []
    if process.returncode == 128 + number:
        assert errors == "Error: Interrupted. Nothing was changed; run the command again.\n"
    else:
        # Python itself was still starting; nothing of FastForge had run.
        assert process.returncode in (-number, 130)
    return process.returncode


def test_a_signal_while_overwriting_keeps_the_files_of_the_user(
    installation: Installation, environment: dict[str, str], work: Path
) -> None:
    moments = random.Random(1)
    for attempt in range(MOMENTS // 2):
        project = work / str(attempt)
        project.mkdir()
        (project / "pyproject.toml").write_text("mine")
        process = subprocess.Popen(
            [*installation.command, "new", ".", "--overwrite"],
            cwd=project,
            env=environment,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(moments.uniform(0.2, 0.9))
        process.terminate()
        if process.wait(timeout=30):
            assert [path.name for path in project.iterdir()] == ["pyproject.toml"]
            assert (project / "pyproject.toml").read_text() == "mine"
        else:
            assert git(project, "status", "--porcelain") == ""


@pytest.mark.parametrize(("path", "first_sign"), [("a", "a"), (".", ".copier-answers.yml")])
def test_a_signal_after_the_first_file_is_in_place_comes_too_late(
    installation: Installation, environment: dict[str, str], work: Path, path: str, first_sign: str
) -> None:
    process = subprocess.Popen(
        [*installation.command, "new", path], cwd=work, env=environment, stderr=subprocess.PIPE, text=True
    )
    while not (work / first_sign).exists():
        assert process.poll() is None
    process.terminate()
    _, errors = process.communicate(timeout=30)

    assert process.returncode == 0
    assert "To repeat with the same answers:" in errors
    assert git(work / path, "status", "--porcelain") == ""


def test_an_interrupted_command_prints_json(
    installation: Installation, environment: dict[str, str], work: Path
) -> None:
    command = [*installation.command, "new", "a", "--json", "--answers", "-"]
    process = subprocess.Popen(
        command, cwd=work, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)

    assert process.returncode == 130
    assert '"error": "Interrupted."' in output


def test_nohup_keeps_ignoring_ctrl_c(
    installation: Installation, environment: dict[str, str], work: Path
) -> None:
    process = subprocess.Popen(
        ["sh", "-c", 'trap "" INT; exec "$0" "$@"', *installation.command, "new", "a"],
        cwd=work,
        env=environment,
        stderr=subprocess.DEVNULL,
    )
    for _ in range(5):
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)

    assert process.wait(timeout=30) == 0
    assert (work / "a/.git").is_dir()
