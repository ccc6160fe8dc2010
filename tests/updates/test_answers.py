"""Changed answers: the same merge turns one variant of a project into another."""

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


@pytest.mark.parametrize("auth", ["api_key", "oidc"])
def test_authentication_comes_and_goes_and_edits_stay(project: Path, rendered: Rendered, auth: str) -> None:
    append(project / "app/items/rules.py", "\n# Ours.\n")
    prepend(project / "app/items/routes.py", "# Ours, too.\n")
    commit(project)
    assert update(project).conflicts == []
    commit(project)
    before = contents(project)

    assert update(project, changes={"auth": auth}).conflicts == []
    routes = (project / "app/items/routes.py").read_text()
    assert 'Security(caller, scopes=["items:write"])' in routes
    assert routes.startswith("# Ours, too.\n")
    assert (project / "app/forge/auth" / f"{auth}.py").is_file()
    assert set(contents(rendered("v1.1.0", auth=auth))) == set(contents(project))
    commit(project)

    assert update(project, changes={"auth": "none"}).conflicts == []
    assert contents(project) == before


def test_edits_of_removed_files_do_not_move_into_added_files(project: Path) -> None:
    # The same file for both databases: git would treat one as a rename of the other.
    prepend(project / "migrations/sqlite/script.py.mako", "# Our header.\n")
    commit(project)

    done = update(project, changes={"database": "postgres"})

    assert done.conflicts == ["migrations/sqlite/script.py.mako"]
    assert (project / "migrations/sqlite/script.py.mako").read_text().startswith("# Our header.\n")
    assert "# Our header." not in (project / "migrations/postgres/script.py.mako").read_text()


def test_it_lists_added_and_removed_files_and_manual_steps(project: Path) -> None:
    document = update(project, changes={"database": "postgres", "cache": "redis"}, dry_run=True).document()

    assert document["answers"] == {"cache": ["ttl", "redis"], "database": ["sqlite", "postgres"]}
    assert {"REDIS_URL", "TEST_DATABASE_URL"} <= set(document["settings_added"])
    assert {"asyncpg", "redis"} <= set(document["dependencies_added"])
    assert any("No row is moved" in step for step in document["by_hand"])


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
