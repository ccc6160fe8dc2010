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
    "newer templates",
    "serve",
]

Terminal = Callable[..., "pexpect.spawn[str]"]


@pytest.fixture
def terminal(installation: Installation, environment: dict[str, str], work: Path) -> Terminal:
    def spawn(*arguments: str) -> pexpect.spawn[str]:
        command, *first = installation.command
        return pexpect.spawn(
            command,
            [*first, "new", *arguments],
            cwd=str(work),
            env=environment | {"TERM": "xterm-256color"},
            encoding="utf-8",
            timeout=20,
            dimensions=(40, 120),
        )

    return spawn


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
    for question, keys in [
        ("called", " API\r"),
        ("stores the data", f"{DOWN}{DOWN}\r"),
        ("MongoDB driver", f"{DOWN}\r"),
        ("compressed", "\r"),
        ("in production", f"{DOWN}\r"),
        ("newer templates", "\r"),
        ("serve", "\r"),
    ]:
        child.expect(question)
        child.send(keys)
    child.expect(pexpect.EOF)
    child.close()

    answers = answers_of(work / "orders")
    assert answers["project_name"] == "orders API"
    assert (answers["database"], answers["mongodb_driver"]) == ("mongodb", "motor")
    assert (answers["cache"], answers["deployment"]) == ("none", "gunicorn")


def test_an_invalid_name_is_refused_at_the_question(terminal: Terminal, work: Path) -> None:
    child = terminal("orders", "--preset", "minimal", "--updates", "none", "--description", "x")
    child.expect("called")
    child.send("/\r")
    child.expect("has a slash")
    child.send("\x7f2\r")
    child.expect("serve")
    child.send("\r")
    child.expect(pexpect.EOF)
    child.close()

    assert child.exitstatus == 0
    assert answers_of(work / "orders")["project_name"] == "orders2"


def test_a_missing_path_is_asked_for(terminal: Terminal, work: Path) -> None:
    child = terminal(
        "--preset", "minimal", "--updates", "none", "--description", "x", "--project-name", "Orders"
    )
    child.expect("Directory to generate")
    child.send("orders\r")
    child.expect("serve")
    child.send("\r")
    child.expect(pexpect.EOF)
    child.close()

    assert child.exitstatus == 0
    assert answers_of(work / "orders")["project_name"] == "Orders"


@pytest.mark.parametrize("answered", [0, 2, 5, 8])
def test_ctrl_c_at_a_question_changes_nothing(terminal: Terminal, work: Path, answered: int) -> None:
    child = terminal("orders")
    for question in QUESTIONS[:answered]:
        child.expect(question)
        child.send("\r")
    child.expect(QUESTIONS[answered])
    child.send("\x03")
    child.expect("Interrupted")
    child.expect(pexpect.EOF)
    child.close()

    assert child.exitstatus == 130
    assert list(work.iterdir()) == []


def test_resources_are_typed_line_by_line(terminal: Terminal, work: Path) -> None:
    child = terminal(
        "shop", "--preset", "minimal", "--updates", "none", "--description", "x", "--project-name", "Shop"
    )
    child.expect("serve")
    child.send("item name:str\r")
    child.expect("Another resource")
    child.send("order item:ref=items\r")
    child.expect("Another resource")
    child.send("\r")
    child.expect(pexpect.EOF)
    child.close()

    assert child.exitstatus == 0
    recorded: dict[str, Any] = yaml.safe_load((work / "shop/.copier-answers.yml").read_text())
    assert recorded["resources"] == [
        {"name": "item", "fields": ["name:str"]},
        {"name": "order", "fields": ["item:ref=items"]},
    ]
    assert recorded["cache"] == "none"


def test_a_line_is_checked_as_it_is_typed(terminal: Terminal, work: Path) -> None:
    child = terminal(
        "shop", "--preset", "minimal", "--updates", "none", "--description", "x", "--project-name", "Shop"
    )
    child.expect("serve")
    child.send("item name:strr")
    child.expect('"strr" is not a type')
    child.send("\x7f\r")
    child.expect("Another resource")
    child.send("order item:ref=item")
    child.expect("Write item:ref=items")
    child.send("s\r")
    child.expect("Another resource")
    child.send("\r")
    child.expect(pexpect.EOF)
    child.close()

    assert child.exitstatus == 0


def test_typed_resources_are_combined_with_earlier_answers(terminal: Terminal, work: Path) -> None:
    child = terminal("shop", "--cache", "none")
    for question, keys in [
        ("called", " API\r"),
        ("one sentence", "\r"),
        ("stores the data", f"{DOWN}{DOWN}\r"),
        ("MongoDB driver", f"{DOWN}\r"),
        ("writes the JSON", "\r"),
        ("compressed", "\r"),
        ("in production", "\r"),
        ("newer templates", "\r"),
        ("serve", "item name:str\r"),
        ("Another resource", "\r"),
    ]:
        child.expect(question)
        child.send(keys)
    child.expect(pexpect.EOF)
    child.close()

    answers = answers_of(work / "shop")
    assert (answers["project_name"], answers["mongodb_driver"]) == ("shop API", "motor")
    assert (answers["cache"], answers["compression"]) == ("none", "negotiated")
    assert answers["revisions"][0]["steps"] == [{"create": {"name": "item", "fields": ["name:str"]}}]


@pytest.mark.parametrize("given", [["--no-resources"], ["--resource", "item name:str"]])
def test_given_resources_are_not_asked_for(terminal: Terminal, work: Path, given: list[str]) -> None:
    named = ["--preset", "minimal", "--updates", "none", "--description", "x", "--project-name", "Shop"]
    child = terminal("shop", *named, *given)
    child.expect(pexpect.EOF)
    child.close()

    assert child.exitstatus == 0
    assert len(answers_of(work / "shop")["resources"]) == len(given) - 1


def test_ctrl_d_at_the_resources_prints_the_next_step(terminal: Terminal, work: Path) -> None:
    child = terminal(
        "shop", "--preset", "minimal", "--updates", "none", "--description", "x", "--project-name", "Shop"
    )
    child.expect("serve")
    child.send("\x04")
    child.expect("add --defaults")
    child.expect(pexpect.EOF)
    child.close()

    assert child.exitstatus == 2
    assert list(work.iterdir()) == []


def test_ctrl_c_at_the_path_changes_nothing(terminal: Terminal, work: Path) -> None:
    child = terminal()
    child.expect("Directory to generate")
    child.send("\x03")
    child.expect("Interrupted")
    child.expect(pexpect.EOF)
    child.close()

    assert child.exitstatus == 130
    assert list(work.iterdir()) == []


def test_ctrl_d_at_a_question_prints_the_next_step(terminal: Terminal, work: Path) -> None:
    child = terminal("orders", "--project-name", "x", "--database", "sqlite")
    child.expect("one sentence")
    child.send("\x15\x04")
    child.expect("add --defaults")
    child.expect(pexpect.EOF)
    child.close()

    assert child.exitstatus == 2
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
    child = terminal("orders", "--defaults")
    child.expect(pexpect.EOF)
    child.close()

    assert child.exitstatus == 0
    assert (work / "orders").is_dir()


def test_an_answer_to_a_question_that_is_not_asked_is_refused(terminal: Terminal, work: Path) -> None:
    child = terminal("orders", "--mongodb-driver", "motor")
    for question in QUESTIONS:
        child.expect(question)
        child.send("\r")
    child.expect("only asked when")
    child.expect(pexpect.EOF)
    child.close()

    assert child.exitstatus == 2
    assert list(work.iterdir()) == []
