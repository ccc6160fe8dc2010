"""Changes of a project's resources, and the head of its migrations, after which they come."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from fastforge import evolution
from fastforge.errors import UserError
from fastforge.evolution import add_field, add_resource, new_revision_id, remove_field, remove_resource
from fastforge.grammar import grammar
from fastforge.migrations import head_of
from fastforge.resources import changes_in_words, parse_line, revisions_in_words

GRAMMAR = grammar()
ID = "a1b2c3d4e5f6"


def answers_for(*lines: str) -> dict[str, Any]:
    resources = [parse_line(line) for line in lines]
    revisions = GRAMMAR.revisions_of(resources)
    return {"database": "sqlite", "resources": resources, "revisions": revisions}


SHOP = answers_for("item name:str", "order number:str:unique item:ref=items note:str:optional")


def valid(answers: dict[str, Any]) -> dict[str, Any]:
    """Return the last revision of valid answers."""
    assert GRAMMAR.fault_of(answers["resources"]) == ""
    assert GRAMMAR.replay_fault(answers["resources"], answers["revisions"]) == ""
    last: dict[str, Any] = answers["revisions"][-1]
    return last


def test_a_resource_is_added_with_its_revision() -> None:
    payment = parse_line("payment without=export order:ref=orders amount:decimal:min=0")

    answers = add_resource(SHOP, payment, GRAMMAR, head="0001", revision=ID)

    created = {"name": "payment", "fields": ["order:ref=orders", "amount:decimal:min=0"]}
    assert valid(answers) == {"id": ID, "after": "0001", "steps": [{"create": created}]}
    assert answers["resources"][-1] == payment
    assert answers["database"] == "sqlite"


def test_a_resource_is_added_to_a_project_without_any() -> None:
    answers = add_resource(answers_for(), parse_line("item name:str"), GRAMMAR, head="", revision=ID)

    assert valid(answers)["after"] == ""


def test_a_field_is_added_at_the_end_with_its_revision() -> None:
    field = "paid_at:datetime:optional:filter"

    answers = add_field(SHOP, "order", field, GRAMMAR, head="owner_1", revision=ID)

    assert valid(answers) == {"id": ID, "after": "owner_1", "steps": [{"add": "order", "field": field}]}
    assert answers["resources"][1]["fields"][-1] == field


@pytest.mark.parametrize("name", ["item", "item_id"])
def test_a_field_is_removed_by_either_name(name: str) -> None:
    answers = remove_field(SHOP, "order", name, GRAMMAR, head="0001", revision=ID)

    assert valid(answers)["steps"] == [{"drop": "order", "field": "item:ref=items"}]


def test_a_resource_is_removed_as_it_was() -> None:
    answers = remove_resource(SHOP, "order", GRAMMAR, head="0001", revision=ID)

    assert valid(answers)["steps"] == [{"remove": SHOP["resources"][1]}]


def test_a_change_does_not_modify_its_input() -> None:
    before = repr(SHOP)

    add_field(SHOP, "order", "x:int:optional", GRAMMAR, head="0001", revision=ID)
    remove_field(SHOP, "order", "note", GRAMMAR, head="0001", revision=ID)

    assert repr(SHOP) == before


def test_a_removed_resource_can_be_added_again() -> None:
    answers = remove_field(SHOP, "order", "note", GRAMMAR, head="0001", revision=ID)
    answers = add_field(answers, "order", "note:int:default=0", GRAMMAR, head=ID, revision="b" * 12)
    answers = remove_resource(answers, "order", GRAMMAR, head="b" * 12, revision="c" * 12)
    answers = add_resource(answers, parse_line("order x:int"), GRAMMAR, head="c" * 12, revision="d" * 12)

    assert valid(answers)["id"] == "d" * 12


def change(name: str, *arguments: Any) -> Any:
    return getattr(evolution, name)(SHOP, *arguments, GRAMMAR, head="0001", revision=ID)


REFUSED: dict[str, tuple[tuple[Any, ...], str, str]] = {
    "an invalid resource": (("add_resource", parse_line("x a:strr")), '"strr"', "fastforge options"),
    "a resource that is there": (("add_resource", parse_line("item a:str")), '"item"', "fastforge options"),
    "a reference to nothing": (("add_resource", parse_line("x a:ref=zs")), '"zs"', "fastforge options"),
    "a field of no resource": (("add_field", "odrer", "a:int:optional"), "'odrer'", "Did you mean order?"),
    "an invalid field": (("add_field", "order", "a:number"), '"number"', "fastforge options"),
    "a field that is there": (("add_field", "order", "note:int:optional"), '"note"', "fastforge options"),
    "a required field": (
        ("add_field", "order", "size:int"),
        "orders that exist",
        "size:int:optional or size:int:default=VALUE",
    ),
    "a required unique field": (("add_field", "order", "code:str:unique"), "orders", "unique:optional"),
    "a required reference": (("add_field", "order", "gift:ref=items"), "orders", "gift:ref=items:optional"),
    "a required time": (("add_field", "order", "at:datetime"), "orders that exist", "at:datetime:optional"),
    "no such field": (("remove_field", "order", "noet"), "'noet'", "Did you mean note?"),
    "the only field": (("remove_field", "item", "name"), "only field", "fastforge remove resource item"),
    "what is referred to": (("remove_resource", "item"), "item:ref=items", "remove field order item"),
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
        remove_resource({"database": "sqlite"}, "item", GRAMMAR, head="", revision=ID)


def test_an_existing_revision_is_not_created_again() -> None:
    with pytest.raises(UserError, match="0001 occurs twice"):
        add_field(SHOP, "order", "x:int:optional", GRAMMAR, head="0001", revision="0001")


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

    with pytest.raises(UserError, match="'a', which no file has"):
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
    added = add_field(SHOP, "order", "size:int:optional", GRAMMAR, head="0001", revision=ID)
    removed = remove_resource(added, "order", GRAMMAR, head=ID, revision="b" * 12)

    assert list(revisions_in_words(SHOP["revisions"], removed["revisions"])) == [
        f"+ {ID} after 0001: add order.size",
        f"+ bbbbbbbbbbbb after {ID}: remove order",
    ]
    assert list(revisions_in_words(removed["revisions"], added["revisions"])) == [
        f"- bbbbbbbbbbbb after {ID}: remove order"
    ]
    assert list(revisions_in_words(None, SHOP["revisions"])) == ["+ 0001 first: create item, create order"]
