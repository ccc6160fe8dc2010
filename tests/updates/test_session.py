"""The session in docs/update-session.md, played again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import git
from tests.updates.session import ADDED, DOCUMENT, ROUTE, RULE, TEST, Step, commands_in, document_of, record

# What the owner wrote by hand, by file.
BY_HAND = {
    "app/orders/rules.py": [*(text for _, _, text in RULE), ADDED["app/orders/rules.py"]],
    "app/orders/queries.py": [ADDED["app/orders/queries.py"]],
    "app/orders/routes.py": [ROUTE],
    "tests/test_our_orders.py": [TEST],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which the session is played."""
    return tmp_path_factory.mktemp("session")


@pytest.fixture(scope="module")
def steps(folder: Path, wheels: dict[str, Path], releases: Path) -> list[Step]:
    """Return the steps of the session, each of which ended as it should."""
    return record(folder, wheels, releases / "template")


def test_a_shop_lives_through_the_recorded_session_without_a_network(steps: list[Step], folder: Path) -> None:
    shop = folder / "home/shop"
    lost = [
        f"{name}: {line}"
        for name, texts in BY_HAND.items()
        for text in texts
        for line in text.splitlines()
        if line not in (shop / name).read_text()
    ]
    assert lost == []
    assert git(shop, "status", "--short") == ""


def test_rows_are_there_with_the_new_field_and_without_the_removed_one(steps: list[Step]) -> None:
    with_note, without_note = [step.output for step in steps if step.command.endswith("/api/v1/orders")]
    assert '"note":"as a gift","paid_at":null' in with_note
    assert '"number":"A1"' in without_note
    assert '"note"' not in without_note
    assert '"paid_at":null' in without_note


def test_the_shop_passes_its_tests_after_each_change(steps: list[Step]) -> None:
    outcomes = [
        step.output.strip("= ") for step in steps if step.command.endswith("make test 2>&1 | tail -1")
    ]
    assert len(outcomes) == 5
    assert all(outcome.endswith(" passed") for outcome in outcomes), outcomes


def test_the_documentation_shows_these_commands(steps: list[Step]) -> None:
    again = "Record it again: python -m tests.updates.session"
    assert commands_in(DOCUMENT.read_text()) == commands_in(document_of(steps)), again
