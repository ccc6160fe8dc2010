"""`fastforge new` at a terminal, through a pseudo-terminal."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pexpect
import pytest
import yaml

from tests.conftest import Installation

DOWN = "\x1b[B"
QUESTIONS = [
    "called",
    "one sentence",
    "stores the data",
    "be cached",
    "writes the JSON",
    "compressed",
    "in production",
    "Who may call",
    "each change",
    "newer templates",
    "serve",
]

# All questions but those for the name, the path and the resources.
ANSWERED = (
    "--preset",
    "minimal",
    "--auth",
    "none",
    "--ci",
    "none",
    "--updates",
    "none",
    "--description",
    "x",
)

Terminal = Callable[..., "pexpect.spawn[str]"]
# This terminal does not report its cursor; each question would wait a second for that.
VARIABLES = {"TERM": "xterm-256color", "PROMPT_TOOLKIT_NO_CPR": "1"}


@pytest.fixture
def terminal(installation: Installation, environment: dict[str, str], work: Path) -> Terminal:
    def spawn(*arguments: str) -> pexpect.spawn[str]:
        command, *first = installation.command
        return pexpect.spawn(
            command,
            [*first, "new", *arguments],
            cwd=str(work),
            env=environment | VARIABLES,
            encoding="utf-8",
            timeout=20,
            dimensions=(40, 120),
        )

    return spawn


def converse(child: pexpect.spawn[str], *lines: tuple[str, str]) -> int | None:
    """Wait for each text and then press its keys, until the command ends. Return its exit code."""
    for text, keys in lines:
        child.expect(text)
        child.send(keys)
    child.expect(pexpect.EOF)
    child.close()
    return child.exitstatus


def answers_of(project: Path) -> dict[str, Any]:
    recorded: dict[str, Any] = yaml.safe_load((project / ".copier-answers.yml").read_text())
    return recorded


def test_enter_accepts_every_default(terminal: Terminal, work: Path) -> None:
    child = terminal("orders")
    for question in QUESTIONS:
        child.expect(question)
        assert "Rendering" not in str(child.before)
        child.send("\r")
    child.expect("Rendering.*100%")
    child.expect("make test")
    child.expect(pexpect.EOF)
    child.close()

    assert child.exitstatus == 0
    assert answers_of(work / "orders")["project_name"] == "orders"
    assert answers_of(work / "orders")["cache"] == "ttl"


def test_arrow_keys_choose_and_a_choice_adds_its_question(terminal: Terminal, work: Path) -> None:
    child = terminal("orders", "--cache", "none", "--description", "x", "--serializer", "orjson")
    converse(
        child,
        ("called", " API\r"),
        ("stores the data", f"{DOWN}{DOWN}\r"),
        ("MongoDB driver", f"{DOWN}\r"),
        ("compressed", "\r"),
        ("in production", f"{DOWN}\r"),
        ("Who may call", "\r"),
        ("each change", "\r"),
        ("newer templates", "\r"),
        ("serve", "\r"),
    )

    answers = answers_of(work / "orders")
    assert answers["project_name"] == "orders API"
    assert (answers["database"], answers["mongodb_driver"]) == ("mongodb", "motor")
    assert (answers["cache"], answers["deployment"]) == ("none", "gunicorn")


def test_an_invalid_name_is_refused_at_the_question(terminal: Terminal, work: Path) -> None:
    child = terminal("orders", *ANSWERED)

    assert converse(child, ("called", "/\r"), ("has a slash", "\x7f2\r"), ("serve", "\r")) == 0
    assert answers_of(work / "orders")["project_name"] == "orders2"


def test_a_missing_path_is_asked_for(terminal: Terminal, work: Path) -> None:
    child = terminal(*ANSWERED, "--project-name", "Orders")

    assert converse(child, ("Directory to generate", "orders\r"), ("serve", "\r")) == 0
    assert answers_of(work / "orders")["project_name"] == "Orders"


@pytest.mark.parametrize("answered", [0, 2, 5, 8, 9])
def test_ctrl_c_at_a_question_changes_nothing(terminal: Terminal, work: Path, answered: int) -> None:
    child = terminal("orders")
    accepted = [(question, "\r") for question in QUESTIONS[:answered]]

    assert converse(child, *accepted, (QUESTIONS[answered], "\x03"), ("Interrupted", "")) == 130
    assert list(work.iterdir()) == []


def test_resources_are_typed_line_by_line(terminal: Terminal, work: Path) -> None:
    child = terminal("shop", *ANSWERED, "--project-name", "Shop")
    exit_code = converse(
        child,
        ("serve", "item name:str\r"),
        ("Another resource", "order item:ref=items\r"),
        ("Another resource", "\r"),
    )

    assert exit_code == 0
    recorded: dict[str, Any] = yaml.safe_load((work / "shop/.copier-answers.yml").read_text())
    assert recorded["resources"] == [
        {"name": "item", "fields": ["name:str"]},
        {"name": "order", "fields": ["item:ref=items"]},
    ]
    assert recorded["cache"] == "none"


def test_a_line_is_checked_as_it_is_typed(terminal: Terminal, work: Path) -> None:
    child = terminal("shop", *ANSWERED, "--project-name", "Shop")
    exit_code = converse(
        child,
        ("serve", "item name:strr"),
        ('"strr" is not a type', "\x7f\r"),
        ("Another resource", "order item:ref=item"),
        ("Write item:ref=items", "s\r"),
        ("Another resource", "\r"),
    )

    assert exit_code == 0


def test_typed_resources_are_combined_with_earlier_answers(terminal: Terminal, work: Path) -> None:
    child = terminal("shop", "--cache", "none")
    converse(
        child,
        ("called", " API\r"),
        ("one sentence", "\r"),
        ("stores the data", f"{DOWN}{DOWN}\r"),
        ("MongoDB driver", f"{DOWN}\r"),
        ("writes the JSON", "\r"),
        ("compressed", "\r"),
        ("in production", "\r"),
        ("Who may call", "\r"),
        ("each change", "\r"),
        ("newer templates", "\r"),
        ("serve", "item name:str\r"),
        ("Another resource", "\r"),
    )

    answers = answers_of(work / "shop")
    assert (answers["project_name"], answers["mongodb_driver"]) == ("shop API", "motor")
    assert (answers["cache"], answers["compression"]) == ("none", "negotiated")
    assert answers["revisions"][0]["steps"] == [{"create": {"name": "item", "fields": ["name:str"]}}]


@pytest.mark.parametrize("given", [["--no-resources"], ["--resource", "item name:str"]])
def test_given_resources_are_not_asked_for(terminal: Terminal, work: Path, given: list[str]) -> None:
    child = terminal("shop", *ANSWERED, "--project-name", "Shop", *given)

    assert converse(child) == 0
    assert len(answers_of(work / "shop")["resources"]) == len(given) - 1


def test_ctrl_d_at_the_resources_prints_the_next_step(terminal: Terminal, work: Path) -> None:
    child = terminal("shop", *ANSWERED, "--project-name", "Shop")

    assert converse(child, ("serve", "\x04"), ("add --defaults", "")) == 2
    assert list(work.iterdir()) == []


def test_ctrl_c_at_the_path_changes_nothing(terminal: Terminal, work: Path) -> None:
    assert converse(terminal(), ("Directory to generate", "\x03"), ("Interrupted", "")) == 130
    assert list(work.iterdir()) == []


def test_ctrl_d_at_a_question_prints_the_next_step(terminal: Terminal, work: Path) -> None:
    child = terminal("orders", "--project-name", "x", "--database", "sqlite")

    assert converse(child, ("one sentence", "\x15\x04"), ("add --defaults", "")) == 2
    assert list(work.iterdir()) == []


def test_sigterm_at_a_question_restores_the_terminal(
    installation: Installation, environment: dict[str, str], work: Path
) -> None:
    shell = pexpect.spawn(
        "sh", cwd=str(work), env=environment | {"TERM": "xterm", "PS1": "$ "}, encoding="utf-8"
    )
    shell.sendline("stty -a; echo before-$?")
    shell.expect(r"before-0")
    shell.sendline(f"{' '.join(installation.command)} new orders; echo left-$?")
    shell.expect("called")
    children = subprocess.run(["pgrep", "-P", str(shell.pid)], capture_output=True, text=True, check=True)
    subprocess.run(["kill", f"-{signal.SIGTERM.value}", children.stdout.strip()], check=True)
    shell.expect("left-143")
    shell.sendline("stty -a | tr ' ;' '\\n' | grep -cx -e echo -e icanon; echo after-$?")
    shell.expect("\r\n2\r\n")
    shell.close(force=True)

    assert list(work.iterdir()) == []


def test_defaults_asks_nothing(terminal: Terminal, work: Path) -> None:
    assert converse(terminal("orders", "--defaults")) == 0
    assert (work / "orders").is_dir()


def test_an_answer_to_a_question_that_is_not_asked_is_refused(terminal: Terminal, work: Path) -> None:
    child = terminal("orders", "--mongodb-driver", "motor")
    answered = [(question, "\r") for question in QUESTIONS]

    assert converse(child, *answered, ("only asked when", "")) == 2
    assert list(work.iterdir()) == []
