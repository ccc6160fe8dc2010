"""`fastforge add`, `remove` and `resolve` lose nothing that a project's owners wrote."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from fastforge.cli.app import run as run_here
from fastforge.errors import UserError
from fastforge.project.migrations import head_of

from tests.conftest import Result, commit_all, git
from tests.updates.conftest import (
    URL,
    Run,
    answers_of,
    append,
    commit,
    commit_new,
    contents,
    edit,
    prepend,
    state,
)
from tests.updates.edits import renamed_module

Fastforge = Callable[..., Result]

VERSIONS = "migrations/sqlite/versions"
ORDER = ("order", "number:str:max=40:unique", "item:ref=items", "quantity:int:min=1")
OWN_RULE = '''
    def price_with_tax(self, price_cents: int) -> int:
        """Return what customers pay."""
        return price_cents * 119 // 100
'''
OWN_ROUTE = """
    @app.get("/ours", include_in_schema=False)
    async def ours() -> str:
        return "ours"

"""
OLD_QUESTIONS = """
_subdirectory: template
_templates_suffix: .jinja
_envops: {undefined: jinja2.StrictUndefined}
database:
  type: str
  help: Where?
  choices: {Lite: sqlite, Great: postgres}
  default: sqlite
"""
OWN_REVISION = '''"""Count visits."""

revision = "{revision}"
down_revision = {down!r}


def upgrade() -> None:
    """Nothing yet."""


def downgrade() -> None:
    """Nothing yet."""
'''


@pytest.fixture
def fastforge(run: Run, project: Path) -> Fastforge:
    """Return a function that runs a newer FastForge than that of the project, in the project's folder."""
    return lambda *arguments, cwd=project: run("v1.1.0", *arguments, cwd=cwd)


@pytest.fixture
def edited(project: Path) -> Path:
    """Return the project after its owners have changed what belongs to them."""
    append(project / "app/items/rules.py", OWN_RULE)
    prepend(project / "app/items/models.py", "# Our models.   \n")
    prepend(project / "app/items/routes.py", "# Our routes.\n")
    append(project / "tests/test_items.py", "\n\ndef test_of_ours() -> None:\n    pass\n")
    edit(
        project / "app/main.py", "    add_error_handlers(app)\n", f"{OWN_ROUTE}    add_error_handlers(app)\n"
    )
    (project / "app/ours.py").write_text('"""Ours."""\n')
    return commit(project)


def own_lines(project: Path) -> dict[str, int]:
    """Return how often each line that `edited` wrote is in its file."""
    texts = {
        "app/items/rules.py": OWN_RULE,
        "app/items/models.py": "# Our models.   \n",
        "app/items/routes.py": "# Our routes.\n",
        "tests/test_items.py": "def test_of_ours() -> None:\n",
        "app/main.py": OWN_ROUTE,
        "app/ours.py": '"""Ours."""\n',
    }
    return {name: (project / name).read_text().count(text) for name, text in texts.items()}


def migrations(project: Path) -> list[str]:
    return sorted(file.name for file in (project / VERSIONS).glob("*.py"))


def fields_of(project: Path, name: str) -> list[str]:
    resources: list[dict[str, Any]] = answers_of(project)["resources"]  # type: ignore[assignment]
    return next(list(each["fields"]) for each in resources if each["name"] == name)


def names_of(project: Path) -> list[str]:
    return [each["name"] for each in answers_of(project)["resources"]]  # type: ignore[index]


def unmerged(project: Path) -> str:
    return git(project, "diff", "--name-only", "--diff-filter=U")


def kept(before: dict[str, tuple[str, bytes]], project: Path, *changed: str) -> bool:
    """Return whether every earlier file is unchanged, except for those that may have changed."""
    after = contents(project)
    return all(after.get(name) == content for name, content in before.items() if name not in changed)


def assert_as_if_made_so(project: Path, run: Run, folder: Path) -> None:
    """Assert that the project is what a new one with its answers would be."""
    answers = {name: value for name, value in answers_of(project).items() if name[0] != "_"}
    folder.mkdir()
    (folder / "answers.yml").write_text(yaml.safe_dump(answers))
    made = run("v1.0.0", "new", "orders", "--no-git", "--answers", "answers.yml", cwd=folder)
    assert made.exit_code == 0, made.errors
    mine, new = contents(project), contents(folder / "orders")
    assert [name for name in mine.keys() | new.keys() if mine.get(name) != new.get(name)] in (
        [],
        [".copier-answers.yml"],
    )


# --- Add ---


def test_a_resource_is_added_without_losing_edits(fastforge: Fastforge, edited: Path) -> None:
    before, counts = contents(edited), own_lines(edited)

    result = fastforge("add", "resource", *ORDER, "--json")

    assert result.exit_code == 0, result.errors
    assert result.document["conflicts"] == []
    (migration,) = result.document["migrations"]
    assert (edited / migration).read_text().count('CREATE TABLE "orders"') == 1
    assert head_of(edited / VERSIONS) in migration
    assert names_of(edited) == ["item", "order"]
    assert "orders" in (edited / "app/resources.py").read_text()
    assert (edited / "app/orders/routes.py").is_file()
    assert (edited / "tests/test_orders.py").is_file()
    assert own_lines(edited) == counts
    changed = [each["path"] for each in result.document["files"]]
    assert kept(before, edited, *changed)
    assert not [name for name in changed if name.startswith(("app/items/", "app/forge/", "app/main"))]
    # Everything is staged, at the project's version.
    assert git(edited, "diff", "--name-only") == ""
    assert result.document["from"] == result.document["to"] == "v1.0.0"


def test_a_field_is_added_between_edited_lines(fastforge: Fastforge, edited: Path) -> None:
    before, counts = contents(edited), own_lines(edited)

    result = fastforge("add", "field", "item", "weight:int:min=0:default=0:filter", "--json")

    assert result.exit_code == 0, result.errors
    assert own_lines(edited) == counts
    assert kept(before, edited, *(each["path"] for each in result.document["files"]))
    assert "weight" in (edited / "app/items/models.py").read_text()
    assert fields_of(edited, "item")[-1] == "weight:int:min=0:default=0:filter"
    assert "item: + weight:int:min=0:default=0:filter" in result.errors
    assert "make migrate" in result.errors


def test_a_change_follows_modules_that_owners_renamed(fastforge: Fastforge, edited: Path) -> None:
    for old, new in (
        ("app/items/models.py", "app/items/schemas.py"),
        ("app/items/queries.py", "app/items/table.py"),
        ("tests/test_items.py", "tests/test_our_items.py"),
    ):
        renamed_module(new)(edited, old)
    commit(edited)
    counts = {name: text.count("Our") for name, text in modules_of(edited).items()}

    assert fastforge("add", "field", "item", "weight:int:min=0:default=0:filter").exit_code == 0
    commit(edited)

    after = modules_of(edited)
    assert {name: text.count("Our") for name, text in after.items()} == counts
    assert {name for name, text in after.items() if "weight" in text} >= {
        "app/items/schemas.py",
        "app/items/table.py",
        "tests/test_our_items.py",
    }

    assert fastforge("remove", "field", "item", "weight").exit_code == 0
    assert not [name for name, text in modules_of(edited).items() if "weight" in text]


def modules_of(project: Path) -> dict[str, str]:
    """Return the texts of a resource's modules and of all tests, by their names."""
    files = [*project.glob("app/items/*.py"), *project.glob("tests/*.py")]
    return {str(file.relative_to(project)): file.read_text() for file in files}


def test_an_addition_leads_to_the_same_files_as_a_fresh_project(
    fastforge: Fastforge, run: Run, project: Path, tmp_path: Path
) -> None:
    assert fastforge("add", "resource", *ORDER).exit_code == 0
    commit(project)
    assert fastforge("add", "field", "order", "paid_at:datetime:optional:filter").exit_code == 0
    commit(project)
    assert fastforge("remove", "field", "item", "description").exit_code == 0

    assert_as_if_made_so(project, run, tmp_path / "fresh")


def test_several_resources_come_from_a_file(fastforge: Fastforge, project: Path, tmp_path: Path) -> None:
    (tmp_path / "more.yml").write_text("resources: ['tag name:str', 'note text:str tag:ref=tags:optional']")

    result = fastforge("add", "resource", "--from", str(tmp_path / "more.yml"), "--json")

    assert result.exit_code == 0, result.errors
    assert names_of(project) == ["item", "tag", "note"]
    assert len(result.document["migrations"]) == 2
    assert head_of(project / VERSIONS)


def test_a_dry_run_shows_the_difference_and_changes_nothing(fastforge: Fastforge, edited: Path) -> None:
    before = state(edited)

    for arguments in (
        ("add", "resource", *ORDER),
        ("add", "field", "item", "weight:int:optional"),
        ("remove", "field", "item", "description"),
    ):
        result = fastforge(*arguments, "--dry-run")
        assert result.exit_code == 0, result.errors
        assert "diff --git" in result.output
        assert "Would change" in result.errors
        assert fastforge(*arguments, "--dry-run", "--json").document["diff"]
        assert state(edited) == before


def test_a_change_can_be_undone(fastforge: Fastforge, edited: Path) -> None:
    append(edited / "app/lifespan.py", "# Not committed.\n")
    before = state(edited)
    for change in (
        ("add", "resource", *ORDER),
        ("add", "field", "item", "weight:int:optional"),
        ("remove", "field", "item", "description"),
    ):
        assert fastforge(*change).exit_code == 0
        assert state(edited) != before

        assert fastforge("update", "--abort").exit_code == 0

        assert state(edited) == before


# --- Remove ---


def test_a_removed_field_leaves_the_rest_unchanged(fastforge: Fastforge, edited: Path) -> None:
    counts = own_lines(edited)

    result = fastforge("remove", "field", "item", "description", "--json")

    assert result.exit_code == 0, result.errors
    assert own_lines(edited) == counts
    (migration,) = result.document["migrations"]
    assert "description" in (edited / migration).read_text()
    assert "description" not in (edited / "app/items/models.py").read_text()


def test_a_removed_resource_leaves_only_its_migrations(fastforge: Fastforge, project: Path) -> None:
    before = contents(project)
    assert fastforge("add", "resource", *ORDER).exit_code == 0
    commit(project)

    result = fastforge("remove", "resource", "order", "--json")

    assert result.exit_code == 0, result.errors
    assert kept(before, project, ".copier-answers.yml")
    assert contents(project).keys() - before.keys() == {
        f"{VERSIONS}/{name}" for name in migrations(project) if name != "0001_create_items.py"
    }
    assert len(migrations(project)) == 3
    assert 'DROP TABLE "orders"' in (project / result.document["migrations"][0]).read_text()


def test_an_edited_file_of_a_removed_resource_becomes_a_conflict(fastforge: Fastforge, edited: Path) -> None:
    assert fastforge("add", "resource", *ORDER).exit_code == 0
    append(edited / "app/orders/rules.py", OWN_RULE)
    (edited / "app/orders/prices.py").write_text('"""Ours."""\n')
    commit(edited)
    before = state(edited)

    result = fastforge("remove", "resource", "order", "--json")

    assert result.exit_code == 3
    assert result.document["conflicts"] == ["app/orders/rules.py"]
    assert (edited / "app/orders/rules.py").read_text().endswith(OWN_RULE)
    assert (edited / "app/orders/prices.py").read_text() == '"""Ours."""\n'
    assert not (edited / "app/orders/models.py").exists()
    assert fastforge("update", "--abort").exit_code == 0
    assert state(edited) == before


def test_the_last_resource_is_removed(fastforge: Fastforge, project: Path) -> None:
    result = fastforge("remove", "resource", "item", "--json")

    assert result.exit_code == 0, result.errors
    assert names_of(project) == []
    assert not (project / "app/items").exists()
    listed = fastforge("resources")
    assert (listed.exit_code, listed.output) == (0, "")
    assert "no resources" in listed.errors


# --- Migrations of owners ---


def add_revision(project: Path, revision: str, down: str | tuple[str, ...]) -> None:
    text = OWN_REVISION.format(revision=revision, down=down)
    (project / VERSIONS / f"{revision}_ours.py").write_text(text)
    commit(project)


def test_a_change_comes_after_a_revision_of_the_owners(fastforge: Fastforge, project: Path) -> None:
    add_revision(project, "ours_1", "0001")
    before = contents(project)

    result = fastforge("add", "field", "item", "weight:int:optional", "--json")

    assert result.exit_code == 0, result.errors
    (migration,) = result.document["migrations"]
    assert 'down_revision = "ours_1"' in (project / migration).read_text()
    assert answers_of(project)["revisions"][-1]["after"] == "ours_1"  # type: ignore[index]
    assert contents(project)[f"{VERSIONS}/ours_1_ours.py"] == before[f"{VERSIONS}/ours_1_ours.py"]


def test_two_heads_are_refused_until_they_are_joined(fastforge: Fastforge, project: Path) -> None:
    add_revision(project, "ours_1", "0001")
    add_revision(project, "ours_2", "0001")
    before = state(project)

    refused = fastforge("add", "resource", *ORDER)

    assert refused.exit_code == 2
    assert "2 heads: ours_1, ours_2" in refused.errors
    assert "alembic merge heads" in refused.errors
    assert state(project) == before
    add_revision(project, "joined", ("ours_1", "ours_2"))
    assert fastforge("add", "resource", *ORDER).exit_code == 0


def test_an_owner_comes_and_goes_with_its_column_and_edits_stay(fastforge: Fastforge, project: Path) -> None:
    append(project / "app/items/rules.py", OWN_RULE)
    prepend(project / "app/items/routes.py", "# Our routes.\n")
    commit(project)
    assert fastforge("update", "--set", "auth=api_key", "--to", "v1.0.0").exit_code == 0
    commit(project)
    routes = (project / "app/items/routes.py").read_text()

    added = fastforge("add", "owner", "item", "--json")

    assert added.exit_code == 0, added.errors
    (migration,) = added.document["migrations"]
    assert "\"owner\" TEXT NOT NULL DEFAULT ''" in (project / migration).read_text()
    owned = (project / "app/items/routes.py").read_text()
    assert "return for_caller(found, request, OWNED)" in owned
    assert owned.startswith("# Our routes.\n")
    assert "item: + owned" in added.errors
    commit(project)
    removed = fastforge("remove", "owner", "item", "--json")
    assert removed.exit_code == 0, removed.errors
    (migration,) = removed.document["migrations"]
    assert 'DROP COLUMN "owner"' in (project / migration).read_text()
    assert (project / "app/items/routes.py").read_text() == routes
    assert OWN_RULE in (project / "app/items/rules.py").read_text()


def test_a_service_with_owned_resources_keeps_knowing_its_callers(
    fastforge: Fastforge, project: Path
) -> None:
    refused = fastforge("add", "owner", "item")
    assert (refused.exit_code, "item is owned" in refused.errors) == (2, True)
    assert fastforge("update", "--set", "auth=oidc", "--to", "v1.0.0").exit_code == 0
    commit(project)
    assert fastforge("add", "owner", "item").exit_code == 0
    commit(project)
    before = state(project)

    refused = fastforge("update", "--set", "auth=none", "--to", "v1.0.0")

    assert refused.exit_code != 0
    assert "item is owned" in refused.errors
    assert state(project) == before


# --- Refusals ---

REFUSALS = {
    "a required field": (("add", "field", "item", "weight:int"), ("required", "weight:int:default=VALUE")),
    "what is referred to": (("remove", "resource", "item"), ("order refers to item", "remove field order")),
    "an unknown resource": (("add", "field", "items", "w:int:optional"), ("'items'", "Did you mean item?")),
    "an unknown field": (("remove", "field", "item", "names"), ("'names'", "Did you mean name?")),
    "a resource that is there": (("add", "resource", *ORDER), ('"order"',)),
    "an unknown type": (("add", "field", "item", "weight:number"), ('"number"', "fastforge options")),
    "nothing": (("add", "resource"), ("No resource was given", "fastforge add resource order")),
    "no project": (("add", "field", "item", "w:int:optional", "-p", "app"), ("no .copier-answers.yml",)),
}  # fmt: skip


def test_an_invalid_change_is_refused_with_a_message(fastforge: Fastforge, edited: Path) -> None:
    assert fastforge("add", "resource", *ORDER).exit_code == 0
    commit(edited)
    before = state(edited)

    for what, (arguments, words) in REFUSALS.items():
        result = fastforge(*arguments, "--json")
        assert result.exit_code == 2, what
        said = " ".join(result.document.values())
        assert len(said.splitlines()) == 1, said
        assert all(word in said for word in words), said
        assert state(edited) == before, what


def test_a_project_without_resources_in_its_answers_is_refused(fastforge: Fastforge, project: Path) -> None:
    file = project / ".copier-answers.yml"
    recorded = {name: value for name, value in answers_of(project).items() if name != "resources"}
    file.write_text(yaml.safe_dump(recorded))
    commit(project)
    before = state(project)

    result = fastforge("add", "field", "item", "weight:int:optional")

    assert result.exit_code == 2
    assert "no answer for resources" in result.errors
    assert state(project) == before


def test_a_template_older_than_resources_is_refused(tmp_path: Path, newest: Callable[..., None]) -> None:
    template = tmp_path / "old"
    (template / "template").mkdir(parents=True)
    (template / "copier.yml").write_text(OLD_QUESTIONS)
    answers_file = template / "template/{{ _copier_conf.answers_file }}.jinja"
    answers_file.write_text("{{ _copier_answers|to_nice_yaml }}")
    commit_all(template, "v0.9.0")
    newest("v0.9.0", template)
    project = tmp_path / "orders"
    project.mkdir()
    (project / ".copier-answers.yml").write_text(f"_commit: v0.9.0\n_src_path: {URL}\ndatabase: sqlite\n")
    commit_new(project)
    before = state(project)

    with pytest.raises(UserError, match="before FastForge had resources") as refused:
        run_here(["add", "field", "item", "weight:int:optional", "--project", str(project)])

    assert "fastforge update" in refused.value.hint
    assert state(project) == before


def test_uncommitted_files_in_the_way_are_refused(fastforge: Fastforge, project: Path) -> None:
    for file, text in (("app/orders/rules.py", "ours = 1\n"), ("app/items/models.py", "# Not committed.\n")):
        (project / file).parent.mkdir(exist_ok=True)
        had = (project / file).read_text() if (project / file).exists() else ""
        (project / file).write_text(had + text)
        before = state(project)
        change = ("resource", *ORDER) if "orders" in file else ("field", "item", "weight:int:optional")

        result = fastforge("add", *change)

        assert result.exit_code == 1
        assert file in result.errors
        assert state(project) == before
        if had:
            (project / file).write_text(had)
        else:
            shutil.rmtree(project / "app/orders")


def test_other_uncommitted_files_are_kept(fastforge: Fastforge, project: Path) -> None:
    append(project / "app/lifespan.py", "# Not committed.\n")
    (project / "notes.txt").write_text("ours")

    assert fastforge("add", "resource", *ORDER).exit_code == 0

    assert (project / "app/lifespan.py").read_text().endswith("# Not committed.\n")
    assert git(project, "diff", "--name-only") == "app/lifespan.py"
    assert (project / "notes.txt").read_text() == "ours"


# --- Branches that each changed resources ---


def on_branch(project: Path, name: str, fastforge: Fastforge, *changes: tuple[str, ...]) -> None:
    """Make a branch of main with these changes, one commit for each."""
    git(project, "switch", "--quiet", "--create", name, "main")
    for change in changes:
        result = fastforge(*change)
        assert result.exit_code == 0, result.errors
        commit(project)


def merge(project: Path, ours: str, theirs: str) -> None:
    """Merge one branch into the other, which has conflicts."""
    git(project, "switch", "--quiet", ours)
    with pytest.raises(Exception, match="merge"):
        git(project, "merge", "--quiet", theirs)
    assert ".copier-answers.yml" in unmerged(project)


def test_branches_that_each_added_a_resource(
    fastforge: Fastforge, run: Run, edited: Path, tmp_path: Path
) -> None:
    counts = own_lines(edited)
    on_branch(edited, "a", fastforge, ("add", "resource", "tag", "name:str:unique"))
    append(edited / "app/tags/rules.py", OWN_RULE)
    prepend(edited / "app/resources.py", "# Edited on a.\n")
    commit(edited)
    on_branch(edited, "b", fastforge, ("add", "resource", *ORDER))
    append(edited / "app/orders/rules.py", OWN_RULE)
    append(edited / "app/resources.py", "# Edited on b.\n")
    commit(edited)
    merge(edited, "a", "b")

    result = fastforge("resolve", "--json")

    assert result.exit_code == 0, result.errors
    assert result.document["conflicts"] == []
    assert unmerged(edited) == ""
    assert names_of(edited) == ["item", "tag", "order"]
    assert own_lines(edited) == counts
    for folder in ("tags", "orders"):
        assert (edited / f"app/{folder}/rules.py").read_text().endswith(OWN_RULE)
        assert (edited / f"app/{folder}/models.py").is_file()
    resources = (edited / "app/resources.py").read_text()
    assert resources.startswith("# Edited on a.\n")
    assert resources.endswith("# Edited on b.\n")
    assert "TAGS" in resources
    assert "ORDERS" in resources
    assert "<<<<<<<" not in resources
    # Each branch has a migration; the next command is named.
    assert "alembic merge heads" in " ".join(result.document["next"])
    git(edited, "commit", "--quiet", "--no-edit")
    heads = [each["id"] for each in answers_of(edited)["revisions"]][1:]  # type: ignore[index]
    add_revision(edited, "joined", tuple(heads))
    assert fastforge("add", "field", "tag", "color:str:optional").exit_code == 0


def test_branches_that_each_added_a_field(
    fastforge: Fastforge, run: Run, project: Path, tmp_path: Path
) -> None:
    on_branch(project, "a", fastforge, ("add", "field", "item", "weight:int:min=0:optional"))
    prepend(project / "app/items/models.py", "# Edited on a.\n")
    commit(project)
    on_branch(project, "b", fastforge, ("add", "field", "item", "color:enum=red,green:default=red:filter"))
    append(project / "app/items/models.py", "\n# Edited on b.\n")
    append(project / "app/items/rules.py", OWN_RULE)
    commit(project)
    merge(project, "a", "b")
    assert "app/items/models.py" in unmerged(project)

    result = fastforge("resolve", "--json")

    assert result.exit_code == 0, result.errors
    assert unmerged(project) == ""
    assert fields_of(project, "item")[-2:] == [
        "weight:int:min=0:optional",
        "color:enum=red,green:default=red:filter",
    ]
    models = (project / "app/items/models.py").read_text()
    assert models.startswith("# Edited on a.\n")
    assert models.endswith("\n# Edited on b.\n")
    assert (project / "app/items/rules.py").read_text().endswith(OWN_RULE)
    # Without the edits it equals a new project.
    edit(project / "app/items/models.py", "# Edited on a.\n", "")
    edit(project / "app/items/models.py", "\n# Edited on b.\n", "")
    edit(project / "app/items/rules.py", OWN_RULE, "")
    assert_as_if_made_so(project, run, tmp_path / "fresh")


def test_contradicting_edits_stay_marked(fastforge: Fastforge, project: Path) -> None:
    on_branch(project, "a", fastforge, ("add", "field", "item", "weight:int:optional"))
    prepend(project / "app/items/models.py", "# Edited on a.\n")
    commit(project)
    on_branch(project, "b", fastforge, ("add", "field", "item", "size:int:optional"))
    prepend(project / "app/items/models.py", "# Edited on b.\n")
    commit(project)
    merge(project, "a", "b")

    result = fastforge("resolve", "--json")

    assert result.exit_code == 3
    assert result.document["conflicts"] == ["app/items/models.py"] == [unmerged(project)]
    models = (project / "app/items/models.py").read_text()
    for text in ("# Edited on a.", "# Edited on b.", "weight", "size", "<<<<<<<", ">>>>>>>"):
        assert text in models
    assert ".copier-answers.yml" in result.document["resolved"]
    assert ".copier-answers.yml" in git(project, "diff", "--staged", "--name-only")


def test_a_branch_that_was_updated_is_merged_with_one_that_was_not(
    fastforge: Fastforge, project: Path
) -> None:
    on_branch(project, "a", fastforge, ("add", "field", "item", "weight:int:optional"))
    on_branch(project, "b", fastforge, ("update",), ("add", "field", "item", "size:int:optional"))
    merge(project, "a", "b")

    result = fastforge("resolve", "--json")

    assert result.exit_code == 0, result.errors
    assert str(answers_of(project)["_commit"]) == "v1.1.0"
    assert (project / "app/items/routes.py").read_text().endswith("# Tuned in 1.1.\n")
    models = (project / "app/items/models.py").read_text()
    assert "weight" in models
    assert "size" in models


def test_one_field_with_two_meanings_is_refused(fastforge: Fastforge, project: Path) -> None:
    on_branch(project, "a", fastforge, ("add", "field", "item", "weight:int:optional"))
    on_branch(project, "b", fastforge, ("add", "field", "item", "weight:float:optional"))
    merge(project, "a", "b")
    before = contents(project), git(project, "ls-files", "--stage")

    result = fastforge("resolve")

    assert result.exit_code == 2
    assert "item.weight" in result.errors
    assert "git merge --abort" in result.errors
    assert (contents(project), git(project, "ls-files", "--stage")) == before


def test_without_a_conflict_there_is_nothing_to_resolve(fastforge: Fastforge, project: Path) -> None:
    before = state(project)

    result = fastforge("resolve")

    assert result.exit_code == 2
    assert "no conflict" in result.errors
    assert state(project) == before


def test_a_project_in_a_monorepo(fastforge: Fastforge, rendered: Callable[..., Path], tmp_path: Path) -> None:
    mono = tmp_path / "mono"
    project = Path(shutil.copytree(rendered("v1.0.0"), mono / "my services/orders"))
    (mono / "other.txt").write_text("other")
    commit_new(mono)

    def there(*arguments: str) -> Result:
        return fastforge(*arguments, cwd=project)

    on_branch(mono, "a", there, ("add", "resource", "tag", "name:str"))
    on_branch(mono, "b", there, ("add", "resource", "note", "text:str"))
    git(mono, "switch", "--quiet", "a")
    with pytest.raises(Exception, match="merge"):
        git(mono, "merge", "--quiet", "b")

    result = there("resolve", "--json")

    assert result.exit_code == 0, result.errors
    assert unmerged(mono) == ""
    assert names_of(project) == ["item", "tag", "note"]
    assert (mono / "other.txt").read_text() == "other"
