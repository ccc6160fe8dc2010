"""The output of `make test`: phases and counts, failures at once, what ran and what did not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

from tests.phases import PHASES, phase_of
from tests.repository import REPOSITORY
from tests.variants.environments import clean_environment

TESTS = """\
import pytest


def test_one_that_fails() -> None:
    assert 1 + 1 == 3


def test_one_that_passes_after_it() -> None:
    pass


@pytest.mark.thorough
def test_one_that_takes_long() -> None:
    pass
"""
PLUGINS = ["-p", "tests.variants.plugin", "-p", "tests.progress", "-p", "no:cacheprovider"]
VARIABLES = {"PYTHONPATH": str(REPOSITORY), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    """Return the command that runs three tests in a quick run."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_some.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -ra\n")
    run = ["--quiet", "--phases", "--variants", "quick", "--rootdir", str(tmp_path)]
    return [sys.executable, "-m", "pytest", *PLUGINS, *run, str(tmp_path / "tests")]


@pytest.fixture
def shown(command: list[str], tmp_path: Path) -> str:
    """Return the output of the run to a pipe."""
    environment = clean_environment(**VARIABLES)
    return subprocess.run(
        command, cwd=tmp_path, env=environment, check=False, capture_output=True, text=True
    ).stdout


def test_a_failure_is_shown_before_the_next_phase_line_and_only_named_at_the_end(shown: str) -> None:
    assert shown.count("def test_one_that_fails") == 1
    assert shown.index("test_one_that_fails failed") < shown.index("2 of     2")
    assert shown.index("2 of     2") < shown.index("FAILED tests/test_some.py::test_one_that_fails")


def test_the_closing_line_is_that_of_pytest(shown: str) -> None:
    assert "1 failed, 1 passed, 1 deselected in" in shown.splitlines()[-1]


def test_a_pipe_gets_plain_lines_without_dots(shown: str) -> None:
    assert "\x1b" not in shown
    assert "FastForge itself          0 of     2" in shown
    assert ".F" not in shown
    assert "F." not in shown


def test_the_table_lists_skipped_tests_and_their_commands(shown: str) -> None:
    (row,) = [line for line in shown.splitlines() if line.startswith("FastForge itself") and "make" in line]

    assert "2 tests, 1 failed" in row
    assert "1 test " in row.partition("failed")[2]
    assert row.endswith("make test VARIANTS=covering")


def test_on_a_terminal_lines_are_overwritten(command: list[str], tmp_path: Path) -> None:
    environment = os.environ | clean_environment(**VARIABLES, TERM="xterm")
    terminal = pexpect.spawn(
        command[0], command[1:], cwd=str(tmp_path), env=environment, encoding="utf-8", dimensions=(40, 100)
    )
    terminal.expect(pexpect.EOF, timeout=120)
    shown = str(terminal.before)

    assert "\x1b[2F\x1b[J" in shown
    assert "about" in shown


def test_every_phase_has_tests() -> None:
    found = [str(path.relative_to(REPOSITORY)) for path in (REPOSITORY / "tests").rglob("test_*.py")]

    assert {phase_of(name) for name in found} == set(PHASES)
