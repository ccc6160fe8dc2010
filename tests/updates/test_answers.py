"""Changed answers: the same merge takes a project from one variant to another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from fastforge.errors import UserError

from tests.updates.conftest import append, commit, contents, prepend, state, update

Rendered = Callable[..., Path]
pytestmark = pytest.mark.usefixtures("rendered_once")


def test_an_answer_and_a_version_change_in_one_step(project: Path, rendered: Rendered) -> None:
    assert update(project, changes={"cache": "redis"}).conflicts == []
    assert contents(project) == contents(rendered("v1.1.0", cache="redis"))


def test_edits_of_what_leaves_do_not_move_into_what_comes(project: Path) -> None:
    # The same file for both databases: git would take one for the other's new name.
    prepend(project / "migrations/sqlite/script.py.mako", "# Our header.\n")
    commit(project)

    done = update(project, changes={"database": "postgres"})

    assert done.conflicts == ["migrations/sqlite/script.py.mako"]
    assert (project / "migrations/sqlite/script.py.mako").read_text().startswith("# Our header.\n")
    assert "# Our header." not in (project / "migrations/postgres/script.py.mako").read_text()


def test_it_says_what_comes_and_goes_and_what_is_left_to_do(project: Path) -> None:
    document = update(project, changes={"database": "postgres", "cache": "redis"}, dry_run=True).document()

    assert document["answers"] == {"cache": ["ttl", "redis"], "database": ["sqlite", "postgres"]}
    assert {"REDIS_URL", "TEST_DATABASE_URL"} <= set(document["settings_added"])
    assert {"asyncpg", "redis"} <= set(document["dependencies_added"])
    assert any("No item is moved" in step for step in document["by_hand"])


def test_an_edited_file_keeps_its_edits(project: Path) -> None:
    append(project / "app/items/rules.py", "\n# Ours.\n")
    commit(project)

    assert update(project, changes={"deployment": "nginx"}).conflicts == []
    assert (project / "app/items/rules.py").read_text().endswith("# Ours.\n")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"databse": "postgres"}, "'databse' is not a question"),
        ({"database": "oracle"}, "'oracle' is not a choice"),
        ({"mongodb_driver": "motor"}, "only asked when database == 'mongodb'"),
        ({"project_name": "class"}, "is taken by Python"),
    ],
    ids=str,
)
def test_wrong_answers_are_refused(project: Path, changes: dict[str, str], words: str) -> None:
    before = state(project)

    with pytest.raises(UserError) as refusal:
        update(project, changes=changes)

    assert words in refusal.value.message
    assert state(project) == before
