"""Each pair of releases, for each answer: edits are kept, and unedited projects equal fresh ones."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from testkit.servers.variables import ServerOf, variables_for
from tests.conftest import git
from tests.repository import VAR
from tests.updates.conftest import commit, commit_new, contents, update
from tests.updates.edits import CLASHES, EDITS, edit_against_the_template, edit_peacefully
from tests.updates.losses import Sides
from tests.variants.rendering import compiled_once
from tests.variants.running import Run
from tests.variants.space import Variant, covering_variants, every_variant

Rendered = Callable[..., Path]
Newest = Callable[[str], None]
Note = Callable[..., None]
PAIRS = [("v1.0.0", "v1.1.0"), ("v1.0.0", "v1.2.0"), ("v1.1.0", "v1.2.0")]

pytestmark = pytest.mark.usefixtures("rendered_once", "compiled")


@pytest.fixture
def compiled() -> Iterator[None]:
    """Reuse Jinja templates that were compiled before."""
    with compiled_once():
        yield


@pytest.fixture
def count(record_property: Callable[[str, object], None]) -> Note:
    """A function that adds to a row of the table of updates."""

    def count(what: str, variant: Variant, **counts: int) -> None:
        record_property(
            "updates",
            {"what": what, "variant": variant.name, "counts": {"projects": 1, "losses": 0, **counts}},
        )

    return count


def assert_another_update_changes_nothing(project: Path) -> None:
    commit(project)
    before = contents(project)
    assert update(project).plan is None
    assert (contents(project), git(project, "status", "--porcelain")) == (before, "")


@pytest.mark.between(*PAIRS)
def test_an_unedited_project_becomes_a_fresh_one_and_is_then_current(
    rendered: Rendered,
    newest: Newest,
    tmp_path: Path,
    count: Note,
    updated_variant: Variant,
    old: str,
    new: str,
) -> None:
    newest(new)
    answers = dict(updated_variant.answers)
    project = commit_new(shutil.copytree(rendered(old, **answers), tmp_path / "orders"))

    assert update(project).conflicts == []

    assert contents(project) == contents(rendered(new, **answers))
    assert_another_update_changes_nothing(project)
    count(f"{old} to {new}", updated_variant)


@pytest.mark.quick(database="sqlite", old="v1.0.0", new="v1.2.0")
# With each variant, another pair than without edits.
@pytest.mark.between(*PAIRS[1:], PAIRS[0])
def test_edits_of_owners_are_kept_or_become_marked_conflicts(
    rendered: Rendered,
    newest: Newest,
    tmp_path: Path,
    count: Note,
    updated_variant: Variant,
    old: str,
    new: str,
) -> None:
    newest(new)
    answers = dict(updated_variant.answers)
    project = shutil.copytree(rendered(old, **answers), tmp_path / "orders")
    edits = edit_peacefully(project, answers)
    clashing = edit_against_the_template(project)
    commit_new(project)
    edited = contents(project)

    done = update(project)

    made, fresh = (contents(rendered(version, **answers)) for version in (old, new))
    sides = Sides(made, edited, fresh, contents(project), done.conflicts)
    assert sides.losses() == []
    # Exactly the expected conflicts.
    assert {name.partition("~")[0] for name in done.conflicts} <= set(clashing)
    assert_another_update_changes_nothing(project)
    facts = {"edits": edits + len(clashing), "lines": sides.count_lines(), "conflicts": len(done.conflicts)}
    count(f"{old} to {new}", updated_variant, **facts)


def next_variant(variant: Variant) -> Variant:
    """Return another variant, a different one for each."""
    around = covering_variants() if variant in covering_variants() else every_variant()
    return around[(around.index(variant) + 1) % len(around)]


def test_another_answer_leads_to_the_same_files_as_a_fresh_project(
    rendered: Rendered, newest: Newest, tmp_path: Path, count: Note, updated_variant: Variant
) -> None:
    newest("v1.2.0")
    wanted = dict(next_variant(updated_variant).answers)
    project = commit_new(
        shutil.copytree(rendered("v1.2.0", **dict(updated_variant.answers)), tmp_path / "orders")
    )

    assert update(project, changes=wanted).conflicts == []

    assert contents(project) == contents(rendered("v1.2.0", **wanted))
    commit(project)
    assert update(project, changes=wanted).plan is None
    count("--set to the next", updated_variant)


def test_another_answer_and_release_keep_edits_of_owners(
    rendered: Rendered, newest: Newest, tmp_path: Path, count: Note, updated_variant: Variant
) -> None:
    newest("v1.2.0")
    answers, wanted = dict(updated_variant.answers), dict(next_variant(updated_variant).answers)
    project = shutil.copytree(rendered("v1.1.0", **answers), tmp_path / "orders")
    edits = edit_peacefully(project, answers)
    commit_new(project)
    edited = contents(project)

    done = update(project, changes=wanted)

    made, fresh = contents(rendered("v1.1.0", **answers)), contents(rendered("v1.2.0", **wanted))
    sides = Sides(made, edited, fresh, contents(project), done.conflicts)
    assert sides.losses() == []
    facts = {"edits": edits, "lines": sides.count_lines(), "conflicts": len(done.conflicts)}
    count("--set and v1.1.0 to v1.2.0", updated_variant, **facts)


def test_an_edited_project_passes_its_own_tests_after_the_update(
    server_of: ServerOf, rendered: Rendered, newest: Newest, count: Note, tested_variant: Variant
) -> None:
    newest("v1.2.0")
    answers = dict(tested_variant.answers)
    run = Run(tested_variant, variables_for(answers, server_of, f"update of {tested_variant.name}"))
    run.folder = VAR / "updates" / tested_variant.name
    run.project = run.folder / "orders"
    shutil.rmtree(run.folder, ignore_errors=True)
    shutil.copytree(rendered("v1.0.0", **answers), run.project)
    edits = edit_peacefully(run.project, answers)
    commit_new(run.project)

    assert update(run.project).conflicts == []

    run.install()
    assert run.test() > 0
    count("v1.0.0 to v1.2.0", tested_variant, edits=edits, tested=1)


def test_every_answer_with_its_own_file_has_an_edit_of_it() -> None:
    edited = {
        (question, answer) for each in EDITS for question, answers in each.only.items() for answer in answers
    }
    answers = {answer for variant in every_variant() for answer in variant.answers}

    assert {answer for answer in answers - edited if answer[1] != "none"} == set()


def test_edits_are_of_every_kind_that_owners_make() -> None:
    kinds = {each.what for each in (*EDITS, *CLASHES)}

    assert kinds >= {
        "a new route", "a changed query", "a new setting", "an edited Dockerfile", "a deleted file",
        "a renamed module", "reformatted code", "a changed dependency", "trailing blanks",
        "bytes that are not UTF-8", "CRLF", "an executable bit", "a symbolic link",
    }  # fmt: skip
