"""Changes of a project's resources, and the head of its migrations, after which they come."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from fastforge.errors import UserError
from fastforge.project.migrations import head_of
from fastforge.template.grammar import grammar
from fastforge.template.resources import changes_in_words, parse_line, revisions_in_words
from fastforge.update import resource_changes
from fastforge.update.resource_changes import ProjectResources, new_revision_id

GRAMMAR = grammar()


def answers_for(*lines: str) -> dict[str, Any]:
    resources = [parse_line(line) for line in lines]
    revisions = GRAMMAR.revisions_of(resources)
    return {"database": "sqlite", "auth": "none", "resources": resources, "revisions": revisions}


SHOP = answers_for("item name:str", "order number:str:unique item:ref=items note:str:optional")
BEFORE = ProjectResources(SHOP, GRAMMAR, "0001")


def valid(after: ProjectResources) -> dict[str, Any]:
    """Return the last revision of answers that the template accepts."""
    answers = after.answers
    assert GRAMMAR.fault_of(answers["resources"]) == ""
    assert GRAMMAR.replay_fault(answers["resources"], answers["revisions"]) == ""
    last: dict[str, Any] = answers["revisions"][-1]
    assert last["id"] == after.head
    return last


def test_a_resource_is_added_with_its_revision() -> None:
    payment = parse_line("payment without=export order:ref=orders amount:decimal:min=0")

    after = BEFORE.add_resource(payment)

    created = {"name": "payment", "fields": ["order:ref=orders", "amount:decimal:min=0"]}
    assert valid(after) == {"id": after.head, "after": "0001", "steps": [{"create": created}]}
    assert after.answers["resources"][-1] == payment
    assert after.answers["database"] == "sqlite"


def test_a_resource_is_added_to_a_project_without_any() -> None:
    after = ProjectResources(answers_for(), GRAMMAR, "").add_resource(parse_line("item name:str"))

    assert valid(after)["after"] == ""


def test_a_field_is_added_at_the_end_with_its_revision() -> None:
    field = "paid_at:datetime:optional:filter"

    after = ProjectResources(SHOP, GRAMMAR, "owner_1").add_field("order", field)

    steps = [{"add": "order", "field": field}]
    assert valid(after) == {"id": after.head, "after": "owner_1", "steps": steps}
    assert after.answers["resources"][1]["fields"][-1] == field


@pytest.mark.parametrize("name", ["item", "item_id"])
def test_a_field_is_removed_by_either_name(name: str) -> None:
    after = BEFORE.remove_field("order", name)

    assert valid(after)["steps"] == [{"drop": "order", "field": "item:ref=items"}]


def test_a_resource_is_removed_as_it_was() -> None:
    after = BEFORE.remove_resource("order")

    assert valid(after)["steps"] == [{"remove": SHOP["resources"][1]}]


def test_an_owner_is_added_and_removed_with_its_revision() -> None:
    before = ProjectResources({**SHOP, "auth": "oidc"}, GRAMMAR, "0001")

    owned = before.add_owner("order")
    shown = owned.remove_owner("order")

    field = "owner:str:min=0:max=255:default=:filter"
    assert valid(owned)["steps"] == [{"add": "order", "field": field}]
    assert owned.answers["resources"][1] == {**SHOP["resources"][1], "owned": True}
    assert valid(shown)["steps"] == [{"drop": "order", "field": field}]
    assert shown.answers["resources"] == SHOP["resources"]


def test_what_refers_to_an_owned_resource_is_owned_first() -> None:
    before = ProjectResources({**SHOP, "auth": "oidc"}, GRAMMAR, "0001")

    with pytest.raises(UserError, match="Make order owned, too"):
        before.add_owner("item")
    after = before.add_owner("order").add_owner("item")

    with pytest.raises(UserError, match="Make order owned, too"):
        after.remove_owner("order")


def test_an_owned_resource_is_added_and_removed_with_its_owner() -> None:
    before = ProjectResources({**SHOP, "auth": "oidc"}, GRAMMAR, "0001")

    added = before.add_resource(parse_line("note owned text:str"))
    removed = added.remove_resource("note")

    table = {"name": "note", "fields": ["owner:str:min=0:max=255:default=:filter", "text:str"]}
    assert valid(added)["steps"] == [{"create": table}]
    assert valid(removed)["steps"] == [{"remove": table}]


def test_a_change_does_not_modify_its_input() -> None:
    before = repr(SHOP)

    BEFORE.add_field("order", "x:int:optional")
    BEFORE.remove_field("order", "note")

    assert repr(SHOP) == before


def test_a_removed_resource_can_be_added_again() -> None:
    after = BEFORE.remove_field("order", "note").add_field("order", "note:int:default=0")
    after = after.remove_resource("order").add_resource(parse_line("order x:int"))

    assert len({each["id"] for each in after.answers["revisions"]}) == 5
    assert valid(after)["after"] == after.answers["revisions"][-2]["id"]


def change(name: str, *arguments: Any) -> Any:
    return getattr(BEFORE, name)(*arguments)


REFUSED: dict[str, tuple[tuple[Any, ...], str, str]] = {
    "an invalid resource": (("add_resource", parse_line("x a:strr")), '"strr"', "fastforge options"),
    "a resource that is there": (("add_resource", parse_line("item a:str")), '"item"', "fastforge options"),
    "a reference to nothing": (("add_resource", parse_line("x a:ref=zs")), '"zs"', "fastforge options"),
    "a field of no resource": (("add_field", "odrer", "a:int:optional"), "'odrer'", "Did you mean order?"),
    "an invalid field": (("add_field", "order", "a:number"), '"number"', "fastforge options"),
    "a field that is there": (("add_field", "order", "note:int:optional"), '"note"', "fastforge options"),
    "a required field": (
        ("add_field", "order", "size:int"),
        "existing orders",
        "size:int:optional or size:int:default=VALUE",
    ),
    "a required unique field": (("add_field", "order", "code:str:unique"), "orders", "unique:optional"),
    "a required reference": (("add_field", "order", "gift:ref=items"), "orders", "gift:ref=items:optional"),
    "a required time": (("add_field", "order", "at:datetime"), "existing orders", "at:datetime:optional"),
    "no such field": (("remove_field", "order", "noet"), "'noet'", "Did you mean note?"),
    "the only field": (("remove_field", "item", "name"), "only field", "fastforge remove resource item"),
    "what is referred to": (("remove_resource", "item"), "item:ref=items", "remove field order item"),
    "an owner without callers": (("add_owner", "order"), "order is owned", "fastforge options"),
    "no owner": (("remove_owner", "order"), "order is not owned", "Nothing has to be changed."),
    "no such resource": (("remove_resource", "zzz"), "'zzz'", "The resources are item, order."),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_an_impossible_change_is_refused_with_the_next_step(case: str) -> None:
    arguments, word, remedy = REFUSED[case]

    with pytest.raises(UserError) as refused:
        change(*arguments)

    assert word in refused.value.message
    assert remedy in refused.value.hint
    assert refused.value.exit_code == 2


def test_a_unique_required_field_is_offered_no_default() -> None:
    with pytest.raises(UserError) as refused:
        change("add_field", "order", "code:str:unique")

    assert "default" not in refused.value.hint


def test_a_project_from_before_resources_is_refused() -> None:
    with pytest.raises(UserError, match="before FastForge had resources"):
        ProjectResources({"database": "sqlite"}, GRAMMAR, "").remove_resource("item")


def test_a_revision_that_exists_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource_changes, "new_revision_id", lambda: "0001")
    with pytest.raises(UserError, match="0001 occurs twice"):
        BEFORE.add_field("order", "x:int:optional")


def test_revision_ids_are_hexadecimal_and_not_numbers() -> None:
    ids = {new_revision_id() for _ in range(100)}

    assert len(ids) == 100
    assert all(re.fullmatch("[a-f][0-9a-f]{11}", each) for each in ids)


def write(folder: Path, name: str, text: str) -> Path:
    file = folder / f"{name}.py"
    file.write_text(text)
    return file


def revision(folder: Path, own: str, down: str) -> Path:
    return write(
        folder, own, f'"""Change."""\n\nimport nowhere\n\nrevision = {own!r}\ndown_revision = {down}\n'
    )


def test_no_migrations_have_no_head(tmp_path: Path) -> None:
    assert head_of(tmp_path) == ""
    assert head_of(tmp_path / "missing") == ""


def test_the_head_is_found_without_running_a_file(tmp_path: Path) -> None:
    revision(tmp_path, "0001", "None")
    revision(tmp_path, "mine", "'0001'")
    write(tmp_path, "__init__", "1 / 0")
    write(tmp_path, "typed", 'revision: str = "t"\ndown_revision: str | None = "mine"\nbranch_labels = f()\n')

    assert head_of(tmp_path) == "t"


@pytest.mark.parametrize("downs", ["('a', 'b')", "['a', 'b']"])
def test_a_merge_joins_two_heads(tmp_path: Path, downs: str) -> None:
    revision(tmp_path, "0001", "None")
    revision(tmp_path, "a", "'0001'")
    revision(tmp_path, "b", "'0001'")
    revision(tmp_path, "joined", downs)

    assert head_of(tmp_path) == "joined"


def test_two_heads_are_refused_with_the_command_that_joins_them(tmp_path: Path) -> None:
    revision(tmp_path, "0001", "None")
    revision(tmp_path, "a", "'0001'")
    revision(tmp_path, "b", "'0001'")

    with pytest.raises(UserError) as refused:
        head_of(tmp_path)

    assert "2 heads: a, b" in refused.value.message
    assert "alembic merge heads" in refused.value.hint


BAD_FILES = {
    "no Python": "revision = (",
    "a null byte": "revision = '\0'",
    "a call": "revision = make_id()\ndown_revision = None",
    "a number": "revision = 1\ndown_revision = None",
    "a down that is a number": "revision = 'a'\ndown_revision = 1",
    "no revision": "down_revision = None",
    "no down": "revision = 'a'",
    "no utf-8": "# coding: latin-9000\n",
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, case: str) -> None:
    file = write(tmp_path, "bad", BAD_FILES[case])

    with pytest.raises(UserError) as refused:
        head_of(tmp_path)

    assert repr(str(file)) in refused.value.message
    assert f"git restore {file}" in refused.value.hint


def test_deep_nesting_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "bad", f"revision = {'(' * 150}'a'{')' * 150}\ndown_revision = {'-' * 5000}1")

    with pytest.raises(UserError, match="cannot be read"):
        head_of(tmp_path)


def test_a_missing_revision_is_named(tmp_path: Path) -> None:
    revision(tmp_path, "b", "'a'")

    with pytest.raises(UserError, match="'a', but no file has"):
        head_of(tmp_path)


def test_an_id_that_two_files_have_is_refused(tmp_path: Path) -> None:
    revision(tmp_path, "a", "None")
    write(tmp_path, "again", "revision = 'a'\ndown_revision = None")

    with pytest.raises(UserError, match="both the revision 'a'"):
        head_of(tmp_path)


def test_a_circle_is_refused(tmp_path: Path) -> None:
    revision(tmp_path, "a", "'b'")
    revision(tmp_path, "b", "'a'")

    with pytest.raises(UserError, match="in a circle"):
        head_of(tmp_path)


def test_a_change_of_resources_is_described() -> None:
    old = answers_for("item name:str", "tag name:str", "order number:str item:ref=items note:str:optional")
    new = answers_for("item name:str", "order without=batch number:str:max=9 item:ref=items", "box size:int")

    assert list(changes_in_words(old["resources"], new["resources"])) == [
        "+ box size:int",
        "- tag",
        "order: + without=batch",
        "order: + number:str:max=9",
        "order: - number:str",
        "order: - note:str:optional",
    ]
    assert list(changes_in_words(None, [])) == []


def test_a_change_of_revisions_is_described() -> None:
    added = BEFORE.add_field("order", "size:int:optional")
    removed = added.remove_resource("order")
    revisions = removed.answers["revisions"]

    assert list(revisions_in_words(SHOP["revisions"], revisions)) == [
        f"+ {added.head} after 0001: add order.size",
        f"+ {removed.head} after {added.head}: remove order",
    ]
    assert list(revisions_in_words(revisions, added.answers["revisions"])) == [
        f"- {removed.head} after {added.head}: remove order"
    ]
    assert list(revisions_in_words(None, SHOP["revisions"])) == ["+ 0001 first: create item, create order"]
