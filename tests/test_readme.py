"""The commands in README.md do what it shows."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from tests.conftest import GIT_IDENTITY, Installation
from tests.repository import REPOSITORY

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
Shell = Callable[[str], str]
# In an output: any lines.
ANYTHING = "…"
REVISION = re.compile(r"(?<![0-9a-f])[0-9a-f]{12}(?![0-9a-f])")


def blocks(language: str) -> list[str]:
    """Return the code blocks of the language."""
    return [
        token.content
        for token in MarkdownIt().parse(README)
        if token.type == "fence" and token.info == language
    ]


@pytest.fixture
def shell(installation: Installation, environment: dict[str, str], work: Path) -> Shell:
    """Return a function that runs lines in a shell with FastForge on PATH, and returns their output."""
    path = f"{Path(installation.command[1]).parent}:{environment['PATH']}"

    def run(lines: str) -> str:
        done = subprocess.run(
            ["bash", "-euc", lines],
            cwd=work,
            env=environment | GIT_IDENTITY | {"PATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    return run


def test_the_first_commands_generate_a_service_that_make_starts(shell: Shell) -> None:
    install, generate, start = (line.partition("#")[0].strip() for line in blocks("sh")[0].splitlines())

    # The fixture has done that in a clone.
    assert install == "pip install ."
    shell(generate)
    assert "uvicorn" in shell(start.replace("make", "make --dry-run"))
    assert (start.partition(" &&")[0], generate) == ("cd ../myapi", "fastforge new ../myapi")


def test_three_resources_come_from_one_command_and_a_field_from_another(shell: Shell, work: Path) -> None:
    shell(blocks("sh")[1])
    listed = shell("fastforge resources shop")
    assert [line.split()[0] for line in listed.splitlines()[::2]] == [
        "/api/v1/items",
        "/api/v1/customers",
        "/api/v1/orders",
    ]

    command, *shown = blocks("text")[0].splitlines()
    printed = shell(f"cd shop && {command.removeprefix('$ ')}").replace(str(work), "/home/ada")

    pattern = "".join(".*" if line == ANYTHING else f"{re.escape(line)}\n" for line in shown)
    assert re.fullmatch(REVISION.sub("[0-9a-f]{12}", pattern), printed, re.DOTALL), printed


@pytest.mark.parametrize("name", ["app/forge/http/middleware.py"])
def test_explain_shows_the_optimizations_of_a_file(shell: Shell, name: str) -> None:
    assert f"`fastforge explain {name}`" in README
    shell("fastforge new myapi")

    assert "Effect: " in shell(f"cd myapi && fastforge explain {name}")
