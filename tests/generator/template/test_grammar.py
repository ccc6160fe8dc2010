"""The grammar of resources: what is accepted, how it is parsed, and the messages that refuse the rest."""

from __future__ import annotations

import ast
import builtins
import datetime
import keyword
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import pydantic
import pytest
import yaml
from fastforge.template.grammar import grammar

from tests.repository import REPOSITORY, TEMPLATE

GRAMMAR = grammar()
CONFIG: Mapping[str, Any] = yaml.safe_load((REPOSITORY / "copier.yml").read_text())
SAMPLE = CONFIG["sample_resources"]["default"]
RESERVED: Mapping[str, list[str]] = CONFIG["reserved_in_resources"]["default"]
ITEM = {"name": "item", "fields": ["name:str"]}


def resource(*fields: object, name: object = "order", **more: object) -> dict[str, Any]:
    return {"name": name, "fields": list(fields), **more}


def field_of(text: str) -> dict[str, Any]:
    """Return the one parsed field; there is another resource that it may refer to."""
    resources = [resource(text), ITEM]
    assert GRAMMAR.fault_of(resources) == ""
    found: dict[str, Any] = GRAMMAR.nouns_of(resources)[0]["fields"][0]
    return found


def test_the_sample_is_valid() -> None:
    assert GRAMMAR.fault_of(SAMPLE) == ""
    assert GRAMMAR.fault_of([]) == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a:str", {"kind": "str", "min": 1, "max": 200, "optional": False, "has_default": False}),
        ("a:str:min=0:max=5", {"min": 0, "max": 5}),
        ("a:str:default=x y", {"default": "x y", "default_code": '"x y"'}),
        ("a:str:min=0:default=", {"has_default": True, "default": "", "default_code": '""'}),
        ("a:int", {"min": None, "max": None, "min_code": "-MAX_EXACT", "max_code": "MAX_EXACT"}),
        ("a:int:min=-5:max=10", {"min": -5, "max": 10, "min_code": "-5", "is_unbounded_int": False}),
        ("a:int:min=0:default=7", {"default": 7, "default_code": "7", "is_unbounded_int": True}),
        ("a:float:min=-0.5:default=1", {"min": -0.5, "default": 1.0, "default_code": "1.0"}),
        ("a:decimal", {"digits": 12, "places": 2, "min": None, "min_code": ""}),
        ("a:decimal:min=-1:default=9.9", {"min": "-1.00", "min_code": 'Decimal("-1.00")', "default": "9.90"}),
        ("a:decimal:places=0:max=7", {"max": "7", "max_code": "Decimal(7)"}),
        ("a:bool:default=true", {"default": True, "default_code": "True"}),
        ("a:bool:default=false:filter", {"default": False, "default_code": "False", "filter": True}),
        ("a:date:default=2024-02-29", {"default": "2024-02-29", "default_code": "date(2024, 2, 29)"}),
        ("a:datetime:optional:unique", {"kind": "datetime", "optional": True, "unique": True}),
        ("a:uuid", {"kind": "uuid"}),
        ("a:enum=x,Y_1,z.+-:default=Y_1", {"words": ["x", "Y_1", "z.+-"], "default_code": '"Y_1"'}),
        ("a:list=str", {"kind": "str", "list": True, "min": None, "max": 20, "max_each": 200}),
        ("a:list=str:max_each=3:default=a,b", {"default": ["a", "b"], "default_code": '["a", "b"]'}),
        ("a:list=int:default=", {"kind": "int", "default": [], "default_code": "[]", "max_each": 200}),
        ("a:list=int:default=1,-2", {"default": [1, -2], "default_code": "[1, -2]"}),
        ("a:list=uuid:default=:filter", {"kind": "uuid", "default": [], "filter": True}),
        ("a:json:max=500:optional", {"kind": "json", "max": 500, "optional": True}),
        (
            "item:ref=items",
            {
                "name": "item_id",
                "kind": "ref",
                "target": "items",
                "target_class": "Item",
                "relation": "item",
                "on_delete": "restrict",
                "import_line": "from ..items.models import Item",
                "is_late": False,
            },
        ),
        ("item:ref=items:optional:on_delete=null:filter", {"on_delete": "null", "filter": True}),
    ],
)
def test_a_field_is_parsed(text: str, expected: dict[str, Any]) -> None:
    field = field_of(text)

    assert {name: field[name] for name in expected} == expected
    assert field["text"] == text


def test_a_resource_has_its_name_in_every_spelling() -> None:
    (noun,) = GRAMMAR.nouns_of([resource("a:str", "b:date:filter", name="order_line", without=["batch"])])

    fields = noun.pop("fields")
    assert noun == {
        "name": "order_line",
        "plural": "order_lines",
        "words": "order line",
        "words_plural": "order lines",
        "path": "order-lines",
        "class": "OrderLine",
        "classes": "OrderLines",
        "constant": "ORDER_LINES",
        "sort_key": "order_lines",
        "article": "an",
        "classes_words": "Order lines",
        "without": ["batch"],
        "owned": False,
        "owned_tables": [],
        "has_filters": True,
    }
    assert [field["name"] for field in fields] == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "plural"),
    [
        ("item", "items"),
        ("category", "categories"),
        ("day", "days"),
        ("address", "addresses"),
        ("box", "boxes"),
        ("branch", "branches"),
        ("wish", "wishes"),
        ("order_2", "order_2s"),
    ],
)
def test_a_plural_is_english(name: str, plural: str) -> None:
    assert GRAMMAR.nouns_of([resource("a:str", name=name)])[0]["plural"] == plural


LONG = "a" * 30
BAD_FIELDS = {
    "no text": (5, "a number", "name:str"),
    "no text either": (None, "nothing", "name:str"),
    "a mapping": ({"name": "str"}, "a mapping", "name:str"),
    "a line break": ("a:str:default=x\ny", '"a:str:default=x\\ny"', "one short line"),
    "a control character": ("a:str:default=\x1b[2J", "\\u001b", "invisible"),
    "a surrogate": ("a:str:default=\ud800", "\\ud800", "invisible"),
    "no name": (":str", '""', "price_cents"),
    "a capital": ("Name:str", '"Name"', "small letters"),
    "a letter beyond ascii": ("größe:str", '"größe"', "small letters"),
    "a number first": ("1a:str", '"1a"', "first one a letter"),
    "two underscores": ("a__b:str", '"a__b"', "single underscores"),
    "an underscore at the end": ("a_:str", '"a_"', "single underscores"),
    "31 characters": (f"{LONG}a:str", LONG, "up to 30"),
    "a keyword": ("class:str", '"class"', "Choose another"),
    "id": ("id:uuid", '"id"', "Choose another"),
    "created_at": ("created_at:datetime", '"created_at"', "Choose another"),
    "updated_at": ("updated_at:datetime", '"updated_at"', "Choose another"),
    "what Pydantic uses": ("model_dump:str", '"model_dump"', "Choose another"),
    "what summaries use": ("count:int", '"count"', "Choose another"),
    "what PostgreSQL uses": ("xmin:int", '"xmin"', "Choose another"),
    "no type": ("a", '"a" has no type', "a:TYPE"),
    "an empty type": ("a:", '"a:" has no type', "str"),
    "an unknown type": ("a:string", '"string" is not a type', "str"),
    "an argument too many": ("a:str=5", '"str=5"', "a:str"),
    "an enum of nothing": ("a:enum", '"enum"', "enum=open,paid,shipped"),
    "an empty enum": ("a:enum=", '"enum="', "enum=open,paid,shipped"),
    "an enum of one word": ("a:enum=x", '"x"', "at least two"),
    "an empty word": ("a:enum=x,,y", '""', "1 to 50"),
    "a word twice": ("a:enum=x,y,x", '"x,y,x"', "once"),
    "a long word": (f"a:enum={'x' * 500}", '"xxxx', "1 to 50"),
    "a quote in a word": ('a:enum=x"y', '"x\\"y"', "letters"),
    "an apostrophe in a word": ("a:enum=x'y", '"x\'y"', "letters"),
    "a template mark in a word": ("a:enum={{x}}", '"{{x}}"', "letters"),
    "51 words": (f"a:enum={','.join(f'w{n}' for n in range(51))}", "51 words", "at most 50"),
    "a list of nothing": ("a:list", '"list"', "list=str"),
    "a list of floats": ("a:list=float", '"float"', "int, str, uuid"),
    "a reference to nothing": ("item:ref=", '"ref="', "ref=items"),
    "a reference to no resource": ("item:ref=itms", '"itms"', "items, orders"),
    "a reference to a singular": ("item:ref=item", '"item"', "item:ref=items"),
    "a reference with _id": ("item_id:ref=items", '"item_id"', "item:ref=items"),
    "a reference to bad characters": ("item:ref=it ems", '"it ems"', "ref=items"),
    "a required reference to itself": ("parent:ref=orders", '"parent:ref=orders"', "optional"),
    "an unknown option": ("a:str:uniqe", '"uniqe"', "unique"),
    "an empty option": ("a:str:", '""', "unique"),
    "an option of another type": ("a:str:places=2", '"places"', "max"),
    "unique on a list": ("a:list=str:unique", '"unique"', "max_each"),
    "unique on json": ("a:json:unique", '"unique"', "optional"),
    "unique on bool": ("a:bool:unique", '"unique"', "default"),
    "filter on json": ("a:json:filter", '"filter"', "optional"),
    "filter on float": ("a:float:filter", '"filter"', "max"),
    "a default for a uuid": ("a:uuid:default=x", '"default"', "optional"),
    "an option twice": ("a:str:max=5:max=6", '"max"', "Leave one out"),
    "a flag with a value": ("a:str:optional=true", '"optional=true"', "optional"),
    "a value that is missing": ("a:str:max", '"max"', "max=VALUE"),
    "no number": ("a:str:max=many", '"max=many"', "1 to 100000"),
    "a number of digits beyond ascii": ("a:str:max=\u0661", '"max=\u0661"', "1 to 100000"),
    "a negative length": ("a:str:min=-1", '"min=-1"', "0 to 100000"),
    "no length": ("a:str:max=0", '"max=0"', "1 to 100000"),
    "max under min": ("a:str:min=5:max=4", "min=5", "Lower min"),
    "max under min by default": ("a:str:min=300", "max=200, the default", "raise max"),
    "max under min of numbers": ("a:int:min=1:max=0", "min=1", "raise max"),
    "max under min of decimals": ("a:decimal:min=0.02:max=0.01", "min=0.02", "raise max"),
    "max under min of floats": ("a:float:min=0.2:max=0.1", "min=0.2", "raise max"),
    "a fraction for an int": ("a:int:min=0.5", '"0.5"', "such as 10"),
    "an int beyond JSON": ("a:int:max=9007199254740992", "9007199254740992", "9007199254740991"),
    "infinity": ("a:float:max=inf", '"inf"', "such as 0.5"),
    "an exponent": ("a:float:max=1e5", '"1e5"', "such as 0.5"),
    "too many places": ("a:decimal:min=0.001", '"0.001"', "places=2"),
    "too many digits": ("a:decimal:digits=3:max=10", '"10"', "digits=3"),
    "19 digits": ("a:decimal:digits=19", '"digits=19"', "1 to 18"),
    "more places than digits": ("a:decimal:digits=2:places=3", "places=3", "Raise digits"),
    "an unknown on_delete": ("item:ref=items:on_delete=drop", '"on_delete=drop"', "on_delete=cascade"),
    "null for a required reference": ("item:ref=items:on_delete=null", "on_delete=null", "Add optional"),
    "a default too short": ("a:str:default=", '""', "1 to 200"),
    "a default too long": ("a:str:max=2:default=abc", '"abc"', "1 to 2"),
    "a default that makes a long line": (f"{LONG}:str:default={'x' * 40}", LONG, "Shorten one of them"),
    "a default of 51 characters": (f"a:str:default={'x' * 51}", "xxxx", "at most 50"),
    "a comma in a default": ("a:str:default=a,b", '"a,b"', "Leave these out"),
    "a quote in a default": ('a:str:default=a"b', '"a\\"b"', "Leave these out"),
    "an apostrophe in a default": ("a:str:default=a'b", '"a\'b"', "Leave these out"),
    "a backslash in a default": ("a:str:default=a\\b", '"a\\\\b"', "Leave these out"),
    "a template mark in a default": ("a:str:default={{a}}", '"{{a}}"', "Leave these out"),
    "a percent sign in a default": ("a:str:default=%s", '"%s"', "Leave these out"),
    "a space at the end of a default": ("a:str:default=a ", '"a "', "Leave these out"),
    "a colon in a default": ("a:str:default=a:b", '"b"', "option of str"),
    "a default below min": ("a:int:min=5:default=4", "default=4", "between"),
    "a default above max": ("a:decimal:max=1:default=1.01", "default=1.01", "between"),
    "a default that is not a number": ("a:int:default=x", '"x"', "such as 10"),
    "a default that is not a bool": ("a:bool:default=yes", '"yes"', "true or false"),
    "a default that is not a word": ("a:enum=x,y:default=z", '"z"', "x, y"),
    "a default that is not a date": ("a:date:default=today", '"today"', "2026-11-27"),
    "a day that does not exist": ("a:date:default=2023-02-29", "2023-02-29", "existing"),
    "a day in the year 0": ("a:date:default=0000-01-01", "0000-01-01", "2026-11-27"),
    "an element too long": ("a:list=str:max_each=1:default=a,bc", '"bc"', "1 to 1"),
    "an empty element": ("a:list=str:default=a,,b", '""', "1 to 200"),
    "an element that is not a number": ("a:list=int:default=1,x", '"x"', "such as 10"),
    "too many elements": ("a:list=int:max=1:default=1,2", "2 elements", "at most 1"),
    "an element of uuids": ("a:list=uuid:default=x", '"x"', "default="),
    "a unique default": ("a:str:unique:default=x", '"default=x"', "Leave unique or default out"),
    "a long index": ("a:str:max=501:filter", "max=501", "at most 500"),
    "a long unique text": ("a:str:max=501:unique", "max=501", "at most 500"),
    "a long index of elements": ("a:list=str:max_each=501:filter", "max_each=501", "at most 500"),
    "a filter named limit": ("limit:int:filter", '"limit"', "Leave filter out"),
    "a filter named after": ("after:uuid:filter", '"after"', "Leave filter out"),
    "a filter named expand": ("expand:bool:filter", '"expand"', "Leave filter out"),
    "a filter named request": ("request:str:filter", '"request"', "Leave filter out"),
    "a filter named like a builtin": ("type:str:filter", '"type"', "Leave filter out"),
}


@pytest.mark.parametrize("case", BAD_FIELDS)
def test_a_bad_field_is_refused_in_one_sentence(case: str) -> None:
    text, word, remedy = BAD_FIELDS[case]
    fault = GRAMMAR.fault_of([resource(text), ITEM])

    assert fault.startswith("order: ")
    assert word in fault
    assert remedy in fault
    assert len(fault.splitlines()) == 1


BAD_RESOURCES: dict[str, tuple[Any, str, str]] = {
    "a word": ("abc", '"abc"', "list of resources"),
    "nothing": (None, "nothing", "list of resources"),
    "a number": (5, "a number", "list of resources"),
    "a mapping": ({"name": "order"}, "a mapping", "list of resources"),
    "bytes": (b"", "no text", "list of resources"),
    "a list of words": (["order"], '"order"', "name and fields"),
    "a list of lists": ([[]], "a list", "name and fields"),
    "25 characters": ([resource("a:str", name="a" * 25, plural="as_many")], '"aaaa', "up to 24"),
    "an unknown key": ([resource("a:str", plurals="x")], '"plurals"', "plural, without and owned"),
    "a key that is not text": ([resource("a:str") | {1: 2}], "a number", "plural, without and owned"),
    "no name": ([{"fields": ["a:str"]}], "no name", "name and fields"),
    "no fields key": ([{"name": "order"}], "no fields", "name and fields"),
    "no fields": ([resource()], "order has no field", "name:str"),
    "fields as a mapping": ([{"name": "order", "fields": {"a": "str"}}], "a mapping", "name:str"),
    "fields as a word": ([{"name": "order", "fields": "a:str"}], '"a:str"', "Give a list"),
    "101 fields": ([resource(*(f"f{n}:int" for n in range(101)))], "101 fields", "at most 100"),
    "300 fields": ([resource(*(f"f{n}:int" for n in range(300)))], "300 fields", "at most 100"),
    "101 resources": ([resource("a:int", name=f"r{n}x") for n in range(101)], "101 entries", "at most 100"),
    "a name that is not text": ([resource("a:str", name=5)], "a number", "order_line"),
    "a name with a capital": ([resource("a:str", name="Order")], '"Order"', "order_line"),
    "a name with a slash": ([resource("a:str", name="../x")], '"../x"', "order_line"),
    "a name with a template mark": ([resource("a:str", name="{{x}}")], '"{{x}}"', "order_line"),
    "a name with a line break": ([resource("a:str", name="order\n")], '"order\\n"', "order_line"),
    "a Python keyword": ([resource("a:str", name="class")], '"class"', "Choose another"),
    "an SQL keyword": ([resource("a:str", name="select")], '"select"', "Choose another"),
    "a name that hides an import": ([resource("a:str", name="response")], '"response"', "Choose another"),
    "a name that hides settings": ([resource("a:str", name="setting")], '"setting"', "Choose another"),
    "a plural that is not text": ([resource("a:str", plural=5)], "a number", "plural=WORD"),
    "a plural with a dash": ([resource("a:str", plural="or-ders")], '"or-ders"', "plural=WORD"),
    "a plural of 25": ([resource("a:str", name="b" * 24)], '"bbbb', "plural=WORD"),
    "a plural like the name": ([resource("a:str", name="news", plural="news")], '"news"', "plural=news_list"),
    "a plural of the machinery": ([resource("a:str", plural="forge")], '"forge"', "another"),
    "a plural that is a module": ([resource("a:str", plural="lifespan")], '"lifespan"', "another"),
    "a plural of SQL": ([resource("a:str", plural="values")], '"values"', "another"),
    "a plural of PostgreSQL": ([resource("a:str", plural="pg_class")], '"pg_class"', "plural=WORD"),
    "a plural of SQLite": ([resource("a:str", plural="sqlite_x")], '"sqlite_x"', "plural=WORD"),
    "without a word": ([resource("a:str", without="batch")], '"batch"', "batch, export, summary"),
    "without an unknown word": ([resource("a:str", without=["bath"])], '"bath"', "batch, export, summary"),
    "without a number": ([resource("a:str", without=[1])], "a number", "batch, export, summary"),
    "without twice": ([resource("a:str", without=["batch", "batch"])], '"batch"', "once"),
    "owned that is a word": ([resource("a:str", owned="yes")], '"yes"', "true or false"),
    "owned with a field for it": ([resource("owner:str", owned=True)], '"owner:str"', "Rename it"),
    "owned with a relation": ([resource("owner:ref=items", owned=True), ITEM], "owner:ref", "Rename it"),
    "a reference to rows that others do not see": (
        [resource("item:ref=items"), ITEM | {"owned": True}],
        '"item:ref=items"',
        "Make order owned, too",
    ),
    "an index of owners like a table": (
        [resource("a:str", owned=True), resource("a:str", name="x", plural="orders_owner_idx")],
        '"orders_owner_idx"',
        "Rename",
    ),
    "a field twice": ([resource("a:str", "a:int")], '"a" occurs twice', "Rename"),
    "a field like a reference": ([resource("item_id:int", "item:ref=items"), ITEM], '"item_id"', "Rename"),
    "a field like a relation": ([resource("item:ref=items", "item:int"), ITEM], '"item"', "Rename"),
    "a resource twice": ([ITEM, ITEM], '"item"', "Rename"),
    "a plural twice": ([ITEM, resource("a:str", plural="items")], '"items"', "item and order"),
    "a name like a plural": ([resource("a:str"), resource("a:str", name="orders")], '"orders"', "Rename"),
    "a class twice": ([resource("a:int", name=f"order{end}") for end in ("2", "_2")], '"Order2"', "order2"),
    "a class of another resource": (
        [resource("a:str"), resource("a:str", name="order_draft")],
        '"OrderDraft"',
        "order and order_draft",
    ),
    "a side table like a table": (
        [resource("lines:list=str"), resource("a:str", name="orders_line")],
        '"orders_lines"',
        "Rename",
    ),
    "an index like a table": (
        [resource("number:str:unique"), resource("a:str", name="x", plural="orders_number_key")],
        '"orders_number_key"',
        "Rename",
    ),
    "an index twice": (
        [resource("b_c:str:filter", plural="aa"), resource("c:str:filter", name="q", plural="aa_b")],
        '"aa_b_c_idx"',
        "order.b_c and q.c",
    ),
    "a circle of required references": (
        [
            resource("second:ref=seconds", name="first"),
            resource("third:ref=thirds", name="second"),
            resource("first:ref=firsts", name="third"),
            ITEM,
        ],
        "first, second, third",
        "optional",
    ),
}  # fmt: skip


def test_owned_resources_need_a_service_that_knows_its_callers() -> None:
    owned = [resource("a:str", owned=True)]

    fault = GRAMMAR.fault_of(owned, "none")

    assert "order is owned" in fault
    assert "auth" in fault
    assert [GRAMMAR.fault_of(owned, auth) for auth in ("api_key", "oidc")] == ["", ""]
    assert GRAMMAR.fault_of([resource("a:str", owned=False)], "none") == ""


def test_an_owned_resource_knows_the_tables_that_callers_see_in_part() -> None:
    folder = resource("title:str", name="folder", owned=True)
    paper = resource("a:ref=folders", "b:ref=folders", "c:ref=items", name="paper", owned=True)

    nouns = {noun["name"]: noun for noun in GRAMMAR.nouns_of([paper, folder, ITEM])}

    assert nouns["paper"]["owned_tables"] == ["papers", "folders"]
    assert nouns["folder"]["owned_tables"] == ["folders"]
    assert nouns["item"]["owned_tables"] == []


def test_the_owner_is_a_field_of_revisions() -> None:
    owned = [resource("a:str", owned=True)]

    ((step,),) = (each["steps"] for each in GRAMMAR.revisions_of(owned))

    assert step == {"create": resource(GRAMMAR.owner_field, "a:str")}
    assert GRAMMAR.replay_fault(owned, GRAMMAR.revisions_of(owned)) == ""
    plain = GRAMMAR.revisions_of([resource("a:str")])
    assert GRAMMAR.replay_fault(owned, plain).endswith("fastforge add owner")
    added = {"id": "0002", "after": "0001", "steps": [{"add": "order", "field": GRAMMAR.owner_field}]}
    assert GRAMMAR.replay_fault(owned, [*plain, added]) == ""


@pytest.mark.parametrize("case", BAD_RESOURCES)
def test_bad_resources_are_refused_in_one_sentence(case: str) -> None:
    resources, word, remedy = BAD_RESOURCES[case]

    fault = GRAMMAR.fault_of(resources)

    assert word in fault
    assert remedy in fault
    assert len(fault.splitlines()) == 1


def test_a_bomb_of_aliases_is_refused_at_once() -> None:
    levels = [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 30)]
    bomb = yaml.safe_load("\n".join(["l0: &l0 [x]", *levels]))["l29"]

    for resources in (bomb, [bomb], [resource(bomb)], [resource("a:str", name=bomb)]):
        assert len(GRAMMAR.fault_of(resources)) < 200


ORDER = resource("number:str:max=40:unique", "item:ref=items")
FIRST = {"id": "0001", "after": "", "steps": [{"create": ITEM}, {"create": ORDER}]}


def then(*steps: object, **more: object) -> list[Any]:
    """Return revisions that create an item and an order, and then take these steps."""
    return [FIRST, {"id": "abcdef123456", "after": "0001", "steps": list(steps), **more}]


def test_the_first_revision_creates_referred_tables_first() -> None:
    revisions = GRAMMAR.revisions_of([ORDER, ITEM])

    assert revisions == [FIRST]
    assert GRAMMAR.replay_fault([ORDER, ITEM], revisions) == ""


def test_no_resources_have_no_revision() -> None:
    assert GRAMMAR.revisions_of([]) == []
    assert GRAMMAR.replay_fault([], []) == ""
    assert GRAMMAR.migrations_of([]) == []


def test_a_circle_of_optional_references_is_closed_when_all_tables_exist() -> None:
    first = resource("a:int", "second:ref=seconds:optional", name="first")
    second = resource("first:ref=firsts", name="second")

    revisions = GRAMMAR.revisions_of([second, first])

    assert [step.get("add") or step["create"]["name"] for step in revisions[0]["steps"]] == [
        "first",
        "second",
        "first",
    ]
    assert GRAMMAR.replay_fault([second, first], revisions) == ""
    late = {field["text"]: field["is_late"] for field in GRAMMAR.nouns_of([second, first])[1]["fields"]}
    assert late == {"a:int": False, "second:ref=seconds:optional": True}


def test_a_reference_to_its_own_resource_is_part_of_the_table() -> None:
    category = resource("parent:ref=categories:optional", name="category")

    assert GRAMMAR.fault_of([category]) == ""
    assert GRAMMAR.revisions_of([category])[0]["steps"] == [{"create": category}]


def test_resources_come_after_those_that_they_refer_to() -> None:
    nouns = GRAMMAR.nouns_of([ORDER, resource("order:ref=orders", name="payment"), ITEM])

    assert [noun["name"] for noun in GRAMMAR.in_order(nouns)] == ["item", "order", "payment"]


def test_revisions_that_add_and_drop_lead_to_the_resources() -> None:
    revisions = then(
        {"add": "order", "field": "note:str:optional"}, {"drop": "order", "field": "item:ref=items"}
    )
    resources = [resource("number:str:max=40:unique", "note:str:optional"), ITEM]

    assert GRAMMAR.replay_fault(resources, revisions) == ""


def test_changes_of_bounds_defaults_and_words_need_no_revision() -> None:
    order = resource("number:str:max=50:unique", "item:ref=items")

    assert GRAMMAR.replay_fault([order, ITEM], [FIRST]) == ""


def test_a_revision_may_come_after_one_of_the_owner() -> None:
    revisions = then({"add": "order", "field": "note:str:optional"}, after="b2_my-own.1")
    order = resource(*ORDER["fields"], "note:str:optional")

    assert GRAMMAR.replay_fault([order, ITEM], revisions) == ""


NOTE = {"add": "order", "field": "note:str:optional"}
BAD_REVISIONS: dict[str, tuple[Any, str, str]] = {
    "a word": ("abc", '"abc"', "list of revisions"),
    "nothing": (None, "nothing", "list of revisions"),
    "a list of words": (["abc"], '"abc"', "id, after and steps"),
    "a missing key": ([{"id": "0001", "steps": []}], "other keys", "id, after and steps"),
    "a key that is not text": ([{1: "0001", "after": "", "steps": []}], "other keys", "id, after and steps"),
    "a number as id": ([FIRST | {"id": 1}], "a number", "in quotes"),
    "an id with a slash": ([FIRST | {"id": "../1"}], '"../1"', "digits and letters"),
    "an id with a line break": ([FIRST | {"id": "0001\n"}], '"0001\\n"', "digits and letters"),
    "an id twice": ([FIRST, FIRST], "0001", "its own id"),
    "after a number": ([FIRST | {"after": 1}], "a number", "in quotes"),
    "after code": (then(NOTE, after='x"; import os'), '"x\\"; import os"', "the revision before it"),
    "after itself": (then(NOTE, after="abcdef123456"), '"abcdef123456"', "the revision before it"),
    "no steps": ([FIRST | {"steps": []}], "0001", "at least one"),
    "steps that are not a list": ([FIRST | {"steps": "create"}], "0001", "at least one"),
    "a step that is a word": (then("create"), '"create"', "Use create"),
    "an unknown step": (then({"rename": "order"}), "rename", "Use create"),
    "a step of two": (then({"create": ITEM, "remove": ITEM}), "create, remove", "Use create"),
    "a step without a field": (then({"add": "order"}), "add", "add with field"),
    "an invalid resource": (then({"create": {"name": "x"}}), "no fields", "name and fields"),
    "an invalid field": (then(NOTE | {"field": "a:x"}), '"x" is not a type', "Choose one of"),
    "a field of nothing": (then(NOTE | {"add": "odrer"}), '"odrer"', "earlier step"),
    "a field of a list": (then(NOTE | {"add": []}), "a list", "earlier step"),
    "a resource created twice": (then({"create": ITEM}), "item", "Remove the step"),
    "a field added twice": (then(NOTE, NOTE), '"note"', "Remove the step"),
    "a field dropped that is not there": (
        then({"drop": "order", "field": "x:int"}),
        '"x:int"',
        "as it was added",
    ),
    "a reference too early": ([FIRST | {"steps": [{"create": ORDER}]}], '"item:ref=items"', "earlier step"),
    "a table that is referred to": (then({"remove": ITEM}), "order refers to item", "item_id"),
    "a table removed with other fields": (then({"remove": resource("x:int")}), "other fields", "its own"),
}


@pytest.mark.parametrize("case", BAD_REVISIONS)
def test_bad_revisions_are_refused_in_one_sentence(case: str) -> None:
    revisions, word, remedy = BAD_REVISIONS[case]

    fault = GRAMMAR.replay_fault([ITEM, ORDER], revisions)

    assert word in fault
    assert remedy in fault
    assert len(fault.splitlines()) == 1


NOTED = resource(*ORDER["fields"], "note:str:optional")
DIFFERENCES: dict[str, tuple[list[Any], list[Any], str, str]] = {
    "no revision at all": ([ITEM], [], "creates item", "fastforge add resource"),
    "a resource more": ([ITEM, ORDER, resource("a:int", name="x")], [FIRST], "creates x", "add resource"),
    "a resource less": ([ITEM], [FIRST], "removes order", "fastforge remove resource"),
    "a field more": ([ITEM, NOTED], [FIRST], '"note"', "fastforge add field"),
    "a field less": ([ITEM, resource(ORDER["fields"][0])], [FIRST], '"item_id"', "fastforge remove field"),
    "a field of another type": (
        [ITEM, resource("number:int:unique", "item:ref=items")],
        [FIRST],
        '"number:int:unique"',
        '"number:str:unique"',
    ),
    "a field that is required now": (
        [ITEM, resource(*ORDER["fields"], "note:str")],
        then(NOTE),
        '"note:str"',
        '"note:str:optional"',
    ),
    "another plural": ([ITEM, {**ORDER, "plural": "purchases"}], [FIRST], '"orders"', "Keep plural: orders"),
}


@pytest.mark.parametrize("case", DIFFERENCES)
def test_revisions_that_lead_to_other_resources_are_refused(case: str) -> None:
    resources, revisions, word, remedy = DIFFERENCES[case]

    fault = GRAMMAR.replay_fault(resources, revisions)

    assert word in fault
    assert remedy in fault
    assert len(fault.splitlines()) == 1


def test_migrations_are_revisions_as_templates_need_them() -> None:
    revisions = then(NOTE, {"drop": "order", "field": "item:ref=items"})

    first, second = GRAMMAR.migrations_of(revisions)

    assert (first["file"], second["file"]) == (
        "0001_create_items_and_1_more",
        "abcdef123456_add_note_to_orders_and_1_more",
    )
    assert [step["phrase"] for step in first["steps"]] == ["Create items", "Create orders"]
    # Later steps do not change it.
    assert [field["name"] for field in first["steps"][1]["noun"]["fields"]] == ["number", "item_id"]
    assert [(step["do"], step["noun"]["plural"], step["field"]["name"]) for step in second["steps"]] == [
        ("add", "orders", "note"),
        ("drop", "orders", "item_id"),
    ]


def template_names() -> Iterator[str]:
    """Yield the names of modules, folders and tests of the service that a resource could collide with."""
    for folder, prefix in (("app", ""), ("tests", "test_")):
        for path in (TEMPLATE / folder).glob(f"{prefix}*"):
            name = path.name.partition(".")[0].removeprefix(prefix)
            if re.fullmatch("[a-z][a-z0-9_]*", name) and path.suffix in ("", ".py", ".jinja"):
                yield name


def test_a_plural_hides_no_module_or_test_of_the_service() -> None:
    samples = {noun["plural"] for noun in GRAMMAR.nouns_of(SAMPLE)}
    missing = sorted(set(template_names()) - set(RESERVED["plurals"]) - samples)

    assert not missing, f"Add to reserved_in_resources in copier.yml: {', '.join(missing)}"


def test_names_of_python_and_pydantic_are_reserved() -> None:
    attributes = {name for name in dir(pydantic.BaseModel) + dir(type(pydantic.BaseModel)) if name[0] != "_"}

    assert {name.lower() for name in keyword.kwlist} <= set(RESERVED["python"])
    assert attributes <= set(RESERVED["fields"])
    assert {name for name in vars(builtins) if re.fullmatch("[a-z][a-z0-9_]*", name)} <= {
        name for names in RESERVED.values() for name in names
    }


def test_every_word_of_the_tables_is_text() -> None:
    # YAML reads some words as other types.
    for names in RESERVED.values():
        assert all(isinstance(name, str) for name in names)
        assert len(set(names)) == len(names)


def test_a_type_of_models_shadows_nothing() -> None:
    texts = ["any:str", "uuid:uuid", "field:str", "line1:int", "line_1:int"]
    texts += ["tags:list=str", "tags_element:str", "order_draft:str", "item:ref=items"]
    order = resource(*texts)

    aliases = [field["alias"] for field in GRAMMAR.nouns_of([order, ITEM])[0]["fields"]]

    assert len(set(aliases)) == len(aliases)
    assert aliases[0] == "AnyValue"
    assert not {"Any", "Field", "Order", "OrderDraft", "Item", "TagsElement"} & set(aliases)


@pytest.mark.parametrize("text", ["a:str:default=é ü", "a:date:default=2026-01-31", "a:decimal:default=-1.5"])
def test_the_code_of_a_default_is_its_value(text: str) -> None:
    field = field_of(text)

    names = {"Decimal": Decimal, "date": datetime.date, "__builtins__": {}}
    assert str(eval(field["default_code"], names)) == field["default"]
    assert ast.parse(field["default_code"], mode="eval")


def test_the_longest_names_fit_in_postgresql() -> None:
    limits = CONFIG["resource_limits"]["default"]

    # A table, a reference's column and the end of an index's name.
    assert limits["noun"] + len("_") + limits["name"] + len("_id") + len("_key") <= 63


def test_sort_keys_sort_numbers_by_their_value() -> None:
    nouns = GRAMMAR.nouns_of(
        [resource("a:int", name=name) for name in ("order10", "order2", "order2_b11", "order2_b2")]
    )

    in_order = [noun["name"] for noun in sorted(nouns, key=lambda noun: str(noun["sort_key"]))]
    assert in_order == ["order2_b2", "order2_b11", "order2", "order10"]
