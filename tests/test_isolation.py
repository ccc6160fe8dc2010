"""Test runs are independent of inherited signals, settings and environment variables."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.repository import REPOSITORY
from tests.variants.environments import clean_environment, environment_of
from tests.variants.rendering import Project, Renderer

HANDLER = "import {module}, signal; assert signal.getsignal(signal.SIGINT) is signal.default_int_handler"
# Valid values that differ from the default, for settings that are neither numbers nor flags.
ODD = {
    "DATABASE_URL": "sqlite:////nowhere/app.db",
    "HOST": "192.0.2.1",
    "FORWARDED_ALLOW_IPS": "192.0.2.1",
    "LOG_LEVEL": "ERROR",
    "PROFILE_SECRET": "x" * 16,
    "PUBLIC_URL": "https://api.example.com/shop",
    "SLOW_QUERY_MS": "1",
    "WORKERS": "7",
}


@pytest.fixture(scope="module")
def project(renderer: Renderer) -> Project:
    """Return the default project."""
    return renderer.render({"project_name": "Items API"})


def ignore_sigint() -> None:
    """Do what a shell does for `command &`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def python_without_sigint(python: Path | str, module: str, folder: Path) -> str:
    """Return the error if Python imports the module with SIGINT ignored."""
    command = [python, "-c", HANDLER.format(module=module)]
    environment = clean_environment(DATABASE_URL="sqlite:///app.db")
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        preexec_fn=ignore_sigint,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr


def test_sigint_interrupts_even_if_the_tests_start_with_it_ignored(project: Project) -> None:
    assert not python_without_sigint(sys.executable, "conftest", REPOSITORY)
    python = environment_of(project.folder) / "bin" / "python"
    assert not python_without_sigint(python, "tests", project.folder)


def odd_settings(project: Project) -> dict[str, str]:
    """Return every setting of the project with a value that is valid but not its default."""
    shown = re.findall(r"^(?:# )?([A-Z_]+)=(.*)$", project.read(".env.example"), re.MULTILINE)
    odd = {}
    for name, value in shown:
        number = "3" if re.fullmatch(r"[\d.]+", value) else ""
        flag = {"true": "false", "false": "true"}.get(value, "")
        odd[name] = ODD.get(name) or number or flag
        assert odd[name], f"{name} needs a row in ODD"
    return odd


@pytest.mark.parametrize("place", ["environment", ".env"])
def test_a_project_passes_its_own_tests_whatever_its_settings(project: Project, place: str) -> None:
    odd = odd_settings(project)
    file = project.folder / ".env"
    file.write_text("".join(f"{name}={value}\n" for name, value in odd.items()) if place == ".env" else "")
    python = environment_of(project.folder) / "bin" / "python"
    done = subprocess.run(
        [python, "-m", "pytest", "-q", "-x", "--no-header", "-p", "no:cacheprovider"],
        cwd=project.folder,
        env=clean_environment(**(odd if place == "environment" else {})),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
