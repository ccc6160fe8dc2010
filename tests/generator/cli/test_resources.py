"""Resources on the command line and in answers files."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import RunFastForge
from tests.repository import REPOSITORY

SHOP = ["item 'name:str:default=a b'", "order plural=purchases without=batch,export item:ref=items:optional"]
AS_ANSWER = [
    {"name": "item", "fields": ["name:str:default=a b"]},
    {
        "name": "order",
        "fields": ["item:ref=items:optional"],
        "plural": "purchases",
        "without": ["batch", "export"],
    },
]
FLAGS = [word for line in SHOP for word in ("--resource", line)]


def answers_of(project: Path) -> dict[str, Any]:
    recorded: dict[str, Any] = yaml.safe_load((project / ".copier-answers.yml").read_text())
    return recorded


def test_resources_are_recorded_as_mappings(fastforge: RunFastForge, work: Path) -> None:
    document = fastforge("new", "shop", "--json", *FLAGS).document

    assert document["answers"]["resources"] == AS_ANSWER
    assert answers_of(work / "shop")["resources"] == AS_ANSWER
    creates = [
        {"create": {key: value for key, value in each.items() if key != "without"}} for each in AS_ANSWER
    ]
    assert answers_of(work / "shop")["revisions"] == [{"id": "0001", "after": "", "steps": creates}]


def test_an_owned_resource_is_recorded_and_listed(fastforge: RunFastForge, work: Path) -> None:
    made = fastforge("new", "shop", "--json", "--auth", "api_key", "--resource", "note owned text:str")

    assert made.document["answers"]["resources"] == [{"name": "note", "owned": True, "fields": ["text:str"]}]
    assert "note owned text:str" in made.document["command"]
    assert fastforge("resources", "shop", "--json").document["resources"][0]["owned"] is True
    assert "owned=True" in (work / "shop/app/notes/queries.py").read_text()


@pytest.mark.parametrize("flags", [["--auth", "none"], ["--defaults"], []])
def test_an_owned_resource_is_refused_without_callers(
    fastforge: RunFastForge, work: Path, flags: list[str]
) -> None:
    refused = fastforge("new", "shop", "--json", *flags, "--resource", "note owned text:str")

    assert refused.exit_code != 0
    assert "note is owned" in refused.document["error"]
    assert not (work / "shop").exists()


def test_the_sample_is_the_default(fastforge: RunFastForge) -> None:
    (sample,) = fastforge("new", "shop", "--json", "--dry-run").document["answers"]["resources"]

    assert sample["name"] == "item"
    assert sample["fields"][0] == "name:str:max=200:unique"


def test_no_resources_are_an_answer(fastforge: RunFastForge, work: Path) -> None:
    document = fastforge("new", "shop", "--json", "--no-resources").document

    assert (document["answers"]["resources"], document["answers"]["revisions"]) == ([], [])
    assert answers_of(work / "shop")["resources"] == []


@pytest.mark.parametrize("flags", [FLAGS, ["--no-resources"], []])
def test_the_printed_command_gives_the_same_resources(
    fastforge: RunFastForge, work: Path, flags: list[str]
) -> None:
    command = fastforge("new", "shop", "--json", "--no-git", *flags).document["command"]
    (work / "shop").rename(work / "first")

    assert fastforge(*shlex.split(command)[1:]).exit_code == 0
    assert answers_of(work / "shop") == answers_of(work / "first")


ANSWERS_FILES = {
    "lines.yml": yaml.safe_dump({"resources": SHOP}),
    "mappings.yml": yaml.safe_dump({"resources": AS_ANSWER}),
    "both.json": json.dumps({"resources": [SHOP[0], AS_ANSWER[1]]}),
    "tables.toml": """
[[resources]]
name = "item"
fields = ["name:str:default=a b"]

[[resources]]
name = "order"
fields = ["item:ref=items:optional"]
plural = "purchases"
without = ["batch", "export"]
""",
}


@pytest.mark.parametrize("name", ANSWERS_FILES)
def test_an_answers_file_has_lines_or_mappings(fastforge: RunFastForge, work: Path, name: str) -> None:
    (work / name).write_text(ANSWERS_FILES[name])

    document = fastforge("new", "shop", "--json", "--dry-run", "--answers", name).document

    assert document["answers"]["resources"] == AS_ANSWER


def test_recorded_answers_give_the_same_project(fastforge: RunFastForge, work: Path) -> None:
    fastforge("new", "first", "--no-git", *FLAGS)
    recorded = {name: value for name, value in answers_of(work / "first").items() if name[0] != "_"}

    result = fastforge("new", "again", "--no-git", "--answers", "-", stdin=yaml.safe_dump(recorded))

    assert result.exit_code == 0
    assert answers_of(work / "again") == answers_of(work / "first")


def test_a_flag_has_precedence_over_a_file(fastforge: RunFastForge) -> None:
    file = yaml.safe_dump({"resources": SHOP})
    arguments = ("--answers", "-", "--resource", "tag name:str")

    document = fastforge("new", "a", "--json", "--dry-run", *arguments, stdin=file).document

    assert document["answers"]["resources"] == [{"name": "tag", "fields": ["name:str"]}]


BAD_COMMAND_LINES = {
    "an empty line": (["--resource", ""], "''", "order number:str"),
    "spaces": (["--resource", "  "], "'  '", "order number:str"),
    "an open quote": (["--resource", "order 'a:str"], "closing quotation", "order number:str"),
    "no field": (["--resource", "order"], "order has no field", "name:str"),
    "no name": (["--resource", "number:str item:ref=items"], '"number:str"', "singular"),
    "no type": (["--resource", "order number"], '"number" has no type', "number:TYPE"),
    "an unknown type": (["--resource", "order number:text"], '"text"', "str"),
    "an unknown option": (["--resource", "order plurals=x a:str"], "'plurals'", "plural=WORD"),
    "an option twice": (["--resource", "order plural=x plural=y a:str"], "'plural'", "twice"),
    "an empty plural": (["--resource", "order plural= a:str"], '""', "plural=WORD"),
    "a keyword": (["--resource", "class a:str"], '"class"', "Choose another"),
    "a reference to nothing": (["--resource", "order item:ref=items"], '"items"', "orders"),
    "a resource twice": (["--resource", "tag b:str", "--resource", "tag b:str"], '"tag"', "Rename"),
    "both": (["--resource", "tag b:str", "--no-resources"], "--resource", "Leave one of them out"),
    "no line": (["--resource"], "--resource", "--help"),
    "a flag for revisions": (["--revisions", "x"], "'--revisions'", "Did you mean"),
    "code": (["--resource", "order a:str:default={{1}}"], '"{{1}}"', "Leave these out"),
    "letters beyond ascii": (["--resource", "größe a:str"], '"größe"', "small letters"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_COMMAND_LINES)
def test_a_bad_resource_causes_one_line_of_error(fastforge: RunFastForge, work: Path, case: str) -> None:
    arguments, word, remedy = BAD_COMMAND_LINES[case]

    result = fastforge("new", "shop", *arguments)

    assert result.exit_code == 2
    assert word in result.errors
    assert remedy in result.errors
    assert len(result.errors.splitlines()) == 1
    assert list(work.iterdir()) == []


BAD_ANSWERS_FILES = {
    "a word": ("resources: abc", "'abc'", "order number:str"),
    "a mapping": ("resources: {name: order}", "{'name': 'order'}", "order number:str"),
    "nothing": ("resources:", "None", "order number:str"),
    "a number in it": ("resources: [5]", "a number", "name and fields"),
    "an unknown key": ("resources: [{name: tag, fields: ['b:str'], to: x}]", '"to"', "without and owned"),
    "fields as a mapping": ("resources: [{name: tag, fields: {b: str}}]", "a mapping", "name:str"),
    "revisions as a word": ("revisions: abc", "'abc'", "fastforge add"),
    "revisions for others": ("revisions: []", "creates item", "fastforge add"),
    "revisions alone": (
        (
            "resources: ['tag b:str']\n"
            "revisions: [{id: '0001', after: '', steps: [{create: {name: tag, fields: ['c:str']}}]}]"
        ),
        '"b"',
        "fastforge add",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_ANSWERS_FILES)
def test_bad_resources_in_a_file_cause_one_line_of_error(
    fastforge: RunFastForge, work: Path, case: str
) -> None:
    text, word, remedy = BAD_ANSWERS_FILES[case]

    result = fastforge("new", "a", "--answers", "-", stdin=text)

    assert result.exit_code == 2
    assert word in result.errors
    assert remedy in result.errors
    assert len(result.errors.splitlines()) == 1
    assert list(work.iterdir()) == []


def test_options_lists_every_type_and_option(fastforge: RunFastForge) -> None:
    shown = fastforge("options").output
    types = yaml.safe_load((REPOSITORY / "copier.yml").read_text())["field_types"]["default"]

    assert "--resource" in shown
    for name, details in types.items():
        assert f"    {details.get('example', name)} " in shown
        assert all(option in shown for option in details["options"])


def test_help_names_the_flags(fastforge: RunFastForge) -> None:
    shown = fastforge("new", "--help", variables={"COLUMNS": "200"}).output

    assert "--resource" in shown
    assert "--no-resources" in shown
    assert "--revisions" not in shown
