"""Change the resources in a project's answers, and add the revision that migrates its database.

Each function takes the newest revision of the project as `head`, and the id of the new one as `revision`.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from fastforge.errors import UserError, closest
from fastforge.template.grammar import Grammar
from fastforge.template.questions import HINTS, Answers
from fastforge.template.resources import Resource

_LETTERS = "abcdef"


def new_revision_id() -> str:
    """Return twelve random hexadecimal digits. The first is a letter, so that YAML does not read a number."""
    return secrets.choice(_LETTERS) + secrets.token_hex(6)[1:]


def add_resource(
    answers: Answers, resource: Resource, grammar: Grammar, *, head: str, revision: str
) -> dict[str, Any]:
    """Return the answers with the resource, and with a revision that creates its table.

    Raises:
        UserError: The resource is invalid, alone or with the others.
    """
    resources = [*resources_of(answers), resource]
    _refuse(grammar.fault_of(resources))
    table = {name: value for name, value in resource.items() if name != "without"}
    return _changed(answers, resources, grammar, head, revision, [{"create": table}])


def add_field(
    answers: Answers, name: str, field: str, grammar: Grammar, *, head: str, revision: str
) -> dict[str, Any]:
    """Return the answers with the field at the end of the resource, and with a revision that adds its column.

    Raises:
        UserError: The resource does not exist, the field is invalid, or existing rows would lack a value.
    """
    old = _find(resources_of(answers), name)
    new = {**old, "fields": [*old["fields"], field]}
    resources = _replaced(answers, old, new)
    _refuse(grammar.fault_of(resources))
    noun = next(noun for noun in grammar.nouns_of(resources) if noun["name"] == old["name"])
    _refuse_no_value(noun, noun["fields"][-1], grammar)
    steps = [{"add": old["name"], "field": field}]
    return _changed(answers, resources, grammar, head, revision, steps)


def remove_field(
    answers: Answers, name: str, field: str, grammar: Grammar, *, head: str, revision: str
) -> dict[str, Any]:
    """Return the answers without the field, and with a revision that drops its column.

    The field is named as in the grammar or, if it is a reference, with its `_id`.

    Raises:
        UserError: The resource or field does not exist, or it is the only field.
    """
    old = _find(resources_of(answers), name)
    text = _find_field(old, field)
    if len(old["fields"]) == 1:
        raise UserError(
            f"{field!r} is the only field of {old['name']}, and a resource needs one.",
            f"Add another first, or remove all of it: fastforge remove resource {old['name']}",
        )
    new = {**old, "fields": [each for each in old["fields"] if each != text]}
    steps = [{"drop": old["name"], "field": text}]
    return _changed(answers, _replaced(answers, old, new), grammar, head, revision, steps)


def remove_resource(
    answers: Answers, name: str, grammar: Grammar, *, head: str, revision: str
) -> dict[str, Any]:
    """Return the answers without the resource, and with a revision that drops its table.

    Raises:
        UserError: The resource does not exist, or another one refers to it.
    """
    resources = resources_of(answers)
    old = _find(resources, name)
    nouns = {noun["name"]: noun for noun in grammar.nouns_of(resources)}
    for noun in nouns.values():
        for field in noun["fields"] if noun["name"] != old["name"] else []:
            if field["target"] == nouns[old["name"]]["plural"]:
                raise UserError(
                    f"{noun['name']} refers to {old['name']}: {field['text']}.",
                    f"Remove that first: fastforge remove field {noun['name']} {field['relation']}",
                )
    table = {key: value for key, value in old.items() if key != "without"}
    left = [each for each in resources if each is not old]
    return _changed(answers, left, grammar, head, revision, [{"remove": table}])


def resources_of(answers: Answers) -> list[Resource]:
    """Return the resources of the project.

    Raises:
        UserError: Its template had none.
    """
    if "resources" not in answers:
        raise UserError(
            "The project was generated before FastForge had resources.", "Update it: fastforge update"
        )
    return list(answers["resources"])


def _find(resources: Sequence[Resource], name: str) -> Resource:
    by_name = {resource["name"]: resource for resource in resources}
    if name in by_name:
        return by_name[name]
    if not by_name:
        raise UserError(
            f"{name!r} is not a resource: the project has none.", "See: fastforge add resource -h"
        )
    meant = closest(name, by_name)
    hint = f"Did you mean {meant}?" if meant else f"The resources are {', '.join(by_name)}."
    raise UserError(f"{name!r} is not a resource of the project.", hint)


def _find_field(resource: Resource, name: str) -> str:
    fields = {text.split(":")[0]: text for text in resource["fields"]}
    stored = {f"{each}_id": text for each, text in fields.items() if text.split(":")[1].startswith("ref=")}
    if name in (known := stored | fields):
        return known[name]
    meant = closest(name, known)
    hint = f"Did you mean {meant}?" if meant else f"The fields are {', '.join(fields)}."
    raise UserError(f"{name!r} is not a field of {resource['name']}.", hint)


def _refuse(fault: str) -> None:
    if fault:
        raise UserError(fault, HINTS["resources"])


def _refuse_no_value(noun: Mapping[str, Any], field: Mapping[str, Any], grammar: Grammar) -> None:
    """Refuse a required column without a default, which existing rows could not fill."""
    if field["optional"] or field["has_default"]:
        return
    type_ = field["text"].split(":")[1].partition("=")[0]
    can_default = "default" in grammar.types[type_]["options"] and not field["unique"]
    remedies = [f"{field['text']}:optional", *([f"{field['text']}:default=VALUE"] if can_default else [])]
    raise UserError(
        f"{field['text']!r} is required, and existing {noun['words_plural']} have no value for it.",
        f"Write it as {' or '.join(remedies)}",
    )


def _replaced(answers: Answers, old: Resource, new: Mapping[str, Any]) -> list[Any]:
    return [new if each is old else each for each in resources_of(answers)]


def _changed(
    answers: Answers,
    resources: Sequence[Mapping[str, Any]],
    grammar: Grammar,
    head: str,
    revision: str,
    steps: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    made = {"id": revision, "after": head, "steps": list(steps)}
    revisions = [*answers.get("revisions", []), made]
    if fault := grammar.replay_fault(resources, revisions):
        raise UserError(fault, HINTS["revisions"])
    return {**answers, "resources": list(resources), "revisions": revisions}
