"""Random resources: valid ones are parsed correctly, and all others are refused in one sentence."""

from __future__ import annotations

import ast
import copy
import keyword
from typing import Any

from fastforge.template.grammar import grammar
from fastforge.template.resources import line_of, parse_line
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.resource_lists import DrawnField, resource_lists

GRAMMAR = grammar()
Drawn = list[tuple[dict[str, Any], list[DrawnField]]]
DEFAULTS = {"optional": False, "unique": False, "filter": False, "list": False, "has_default": False}


@given(resource_lists())
@settings(deadline=None, max_examples=60)
def test_valid_resources_are_parsed_correctly(drawn: Drawn) -> None:
    resources = [resource for resource, _ in drawn]

    assert GRAMMAR.fault_of(resources) == ""

    nouns = GRAMMAR.nouns_of(resources)
    assert [noun["name"] for noun in nouns] == [resource["name"] for resource in resources]
    for noun, (resource, fields) in zip(nouns, drawn, strict=True):
        assert noun["without"] == resource.get("without", [])
        assert [field["text"] for field in noun["fields"]] == resource["fields"]
        for field, expected in zip(noun["fields"], fields, strict=True):
            meaning = DEFAULTS | {"optional": ":optional" in expected.text} | expected.meaning
            assert {name: field[name] for name in meaning} == meaning


@given(resource_lists())
@settings(deadline=None, max_examples=25)
def test_the_first_revision_creates_any_resources(drawn: Drawn) -> None:
    resources = [resource for resource, _ in drawn]
    revisions = GRAMMAR.revisions_of(resources)

    assert GRAMMAR.replay_fault(resources, revisions) == ""
    assert len(GRAMMAR.migrations_of(revisions)) == len(revisions) == bool(resources)
    seen: set[str] = set()
    for noun in GRAMMAR.in_order(GRAMMAR.nouns_of(resources)):
        seen.add(noun["plural"])
        assert {
            field["target"] for field in noun["fields"] if field["target"] and not field["is_late"]
        } <= seen


@given(resource_lists())
@settings(deadline=None, max_examples=25)
def test_a_resource_survives_its_text_form(drawn: Drawn) -> None:
    for resource, _ in drawn:
        without: dict[str, Any] = {} if resource.get("without") else {"without": []}
        assert {**parse_line(line_of(resource)), **without} == {**resource, **without}


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.dates()
    | st.binary(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3)
    ),
    max_leaves=8,
)
CHARACTERS = st.characters() | st.sampled_from(":=,'\"\\{}%\n\r\t \0#<>")


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the positions in nested lists and mappings."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(each for key, element in inner for each in paths(element, (*path, key)))]


@st.composite
def damaged(draw: st.DrawFn, value: Any) -> Any:
    """Draw the value with one position changed: another value, one character more or less, or removed."""
    value = copy.deepcopy(value)
    *parents, last = draw(st.sampled_from([path for path in paths(value) if path] or [(None,)]))
    if last is None:
        return draw(ANYTHING)
    holder = value
    for key in parents:
        holder = holder[key]
    old = holder[last]
    if isinstance(old, str) and draw(st.integers(0, 4)):
        at = draw(st.integers(0, len(old)))
        holder[last] = old[:at] + draw(CHARACTERS | st.just("")) + old[at + draw(st.integers(0, 3)) :]
    elif draw(st.booleans()):
        holder[last] = draw(ANYTHING)
    else:
        del holder[last]
    return value


def check_sentence(fault: str) -> None:
    assert len(fault.splitlines()) == 1
    assert fault.isprintable()
    assert fault == fault.strip()
    assert len(fault) < 1_500


def check_name(name: str) -> None:
    assert name.isidentifier()
    assert name.isascii()
    assert not keyword.iskeyword(name)


def check_code(nouns: list[dict[str, Any]]) -> None:
    """Fail unless all text that reaches code is a name or a literal."""
    for noun in nouns:
        for name in (noun["name"], noun["plural"], noun["class"], noun["classes"], noun["constant"]):
            check_name(name)
        for field in noun["fields"]:
            for name in filter(None, (field["name"], field["relation"], field["alias"], field["target"])):
                check_name(name)
            for code in filter(None, (field["default_code"], field["min_code"], field["max_code"])):
                names = {
                    each.id for each in ast.walk(ast.parse(code, mode="eval")) if isinstance(each, ast.Name)
                }
                assert names <= {"Decimal", "date", "MAX_EXACT"}
            if isinstance(field["default"], str) and field["kind"] in ("str", "enum"):
                assert ast.literal_eval(field["default_code"]) == field["default"]
            assert not set("".join(field["words"])) & set("'\"\\{}%:, \n")


@given(st.data(), resource_lists())
@settings(deadline=None, max_examples=150)
def test_damaged_resources_are_accepted_or_refused_in_one_sentence(data: st.DataObject, drawn: Drawn) -> None:
    resources = data.draw(damaged([resource for resource, _ in drawn]))

    if fault := GRAMMAR.fault_of(resources):
        check_sentence(fault)
    else:
        check_code(GRAMMAR.nouns_of(resources))
        assert GRAMMAR.replay_fault(resources, GRAMMAR.revisions_of(resources)) == ""


@given(st.data(), resource_lists())
@settings(deadline=None, max_examples=80)
def test_damaged_revisions_are_accepted_or_refused_in_one_sentence(data: st.DataObject, drawn: Drawn) -> None:
    resources = [resource for resource, _ in drawn]
    revisions = data.draw(damaged(GRAMMAR.revisions_of(resources)))

    if fault := GRAMMAR.replay_fault(resources, revisions):
        check_sentence(fault)
    else:
        check_code(
            [
                step["noun"]
                for each in GRAMMAR.migrations_of(revisions)
                for step in each["steps"]
                if step["do"] in ("create", "remove")
            ]
        )


@given(ANYTHING)
@settings(deadline=None, max_examples=80)
def test_any_value_is_accepted_or_refused_in_one_sentence(answer: object) -> None:
    for fault in (GRAMMAR.fault_of(answer), GRAMMAR.replay_fault([], answer)):
        if fault:
            check_sentence(fault)
        else:
            assert answer == []
