"""The commands in the README of a generated project do what their comments promise."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from testkit.servers.process import free_port
from tests.test_moved_project import project as project
from tests.variants.environments import clean_environment
from tests.variants.rendering import Project

SECONDS_TO_START = 60


def commands(readme: str) -> dict[str, str]:
    """Return the commands in the first block of code, each with its comment."""
    block = next(token.content for token in MarkdownIt().parse(readme) if token.type == "fence")
    return {line.partition("#")[0].strip(): line.partition("# ")[2] for line in block.splitlines()}


@contextmanager
def running(command: str, directory: Path, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run the command, which Ctrl-C ends."""
    process = subprocess.Popen(
        command.split(), cwd=directory, env=clean_environment(**variables), start_new_session=True
    )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(SECONDS_TO_START)


def page(url: str, process: subprocess.Popen[bytes]) -> str:
    """Return the page, as soon as the process serves it."""
    deadline = time.monotonic() + SECONDS_TO_START
    while True:
        try:
            with urllib.request.urlopen(url) as response:
                return str(response.read().decode())
        except OSError:
            assert process.poll() is None, "The command ended."
            assert time.monotonic() < deadline, f"{url} was not served in time."
            time.sleep(0.2)


@pytest.mark.thorough
def test_the_commands_serve_and_test(project: Project) -> None:
    promised = commands(project.read("README.md"))
    assert promised.keys() == {"make dev", "make test", "make run"}

    for command in ("make dev", "make run"):
        port = free_port()
        with running(command, project.folder, PORT=str(port)) as process:
            assert "Swagger UI" in page(f"http://127.0.0.1:{port}/docs", process)

    url = re.search(r"http://\S+?(?=,)", promised["make dev"])
    assert url
    assert url[0] == "http://127.0.0.1:8000/docs"
    assert re.search(r"^PORT \?= 8000$", project.read("Makefile"), re.MULTILINE)
    tested = subprocess.run(
        ["make", "test"],
        cwd=project.folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert tested.returncode == 0, tested.stdout
    assert re.search(r"\d+ passed", tested.stdout)
