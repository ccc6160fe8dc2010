"""Change the resources in a project's answers, and add the revision that migrates its database."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fastforge.errors import UserError, did_you_mean
from fastforge.template.grammar import Grammar
from fastforge.template.questions import HINTS, Answers
from fastforge.template.resources import Resource

_LETTERS = "abcdef"


def new_revision_id() -> str:
    """Return twelve random hexadecimal digits. The first is a letter, so that YAML does not read a number."""
    return secrets.choice(_LETTERS) + secrets.token_hex(6)[1:]


@dataclass(frozen=True)
class ProjectResources:
    """The answers of a project, with the grammar of its template and its newest revision, `head`.

    Each change returns the resources after it, with one revision more.
    """

    answers: Answers
    grammar: Grammar
    head: str

    def add_resource(self, resource: Resource) -> ProjectResources:
        """Add the resource, with a revision that creates its table.

        Raises:
            UserError: The resource is invalid, alone or with the others.
        """
        created = {"create": self._table(resource)}
        return self._changed([*resources_of(self.answers), resource], created)

    def add_field(self, name: str, field: str) -> ProjectResources:
        """Add the field at the end of the resource, with a revision that adds its column.

        Raises:
            UserError: The resource does not exist, the field is invalid, or existing rows would lack a value.
        """
        old = self._find(name)
        resources = self._replaced(old, [*old["fields"], field])
        self._refuse_fault(resources)
        noun = next(noun for noun in self.grammar.nouns_of(resources) if noun["name"] == name)
        _refuse_no_value(noun, noun["fields"][-1], self.grammar)
        return self._changed(resources, {"add": name, "field": field})

    def remove_field(self, name: str, field: str) -> ProjectResources:
        """Remove the field, with a revision that drops its column.

        The field is named as in the grammar or, if it is a reference, with its `_id`.

        Raises:
            UserError: The resource or field does not exist, or it is the only field.
        """
        old = self._find(name)
        text = _find_field(old, field)
        if len(old["fields"]) == 1:
            raise UserError(
                f"{field!r} is the only field of {name}, and a resource needs one.",
                f"Add another first, or remove all of it: fastforge remove resource {name}",
            )
        resources = self._replaced(old, [each for each in old["fields"] if each != text])
        return self._changed(resources, {"drop": name, "field": text})

    def remove_resource(self, name: str) -> ProjectResources:
        """Remove the resource, with a revision that drops its table.

        Raises:
            UserError: The resource does not exist, or another one refers to it.
        """
        old = self._find(name)
        nouns = {noun["name"]: noun for noun in self.grammar.nouns_of(resources_of(self.answers))}
        plural = nouns.pop(name)["plural"]
        for noun in nouns.values():
            for field in noun["fields"]:
                if field["target"] == plural:
                    raise UserError(
                        f"{noun['name']} refers to {name}: {field['text']}.",
                        f"Remove that first: fastforge remove field {noun['name']} {field['relation']}",
                    )
        left = [each for each in resources_of(self.answers) if each is not old]
        return self._changed(left, {"remove": self._table(old)})

    def add_owner(self, name: str) -> ProjectResources:
        """Make the resource owned, with a revision that adds the column. Existing rows have no owner.

        Raises:
            UserError: The resource does not exist, is owned, or cannot be.
        """
        old = self._find(name)
        if old.get("owned"):
            raise UserError(f"{name} is owned.", "Nothing has to be changed.")
        owned: Resource = {**old, "owned": True}
        return self._changed(self._with(old, owned), {"add": name, "field": self.grammar.owner_field})

    def remove_owner(self, name: str) -> ProjectResources:
        """Show the rows of the resource to all callers, with a revision that drops the column.

        Raises:
            UserError: The resource does not exist, is not owned, or refers to one that is.
        """
        old = self._find(name)
        if not old.get("owned"):
            raise UserError(f"{name} is not owned.", "Nothing has to be changed.")
        shown: Resource = {**old}
        del shown["owned"]
        return self._changed(self._with(old, shown), {"drop": name, "field": self.grammar.owner_field})

    def _find(self, name: str) -> Resource:
        by_name = {resource["name"]: resource for resource in resources_of(self.answers)}
        if name in by_name:
            return by_name[name]
        if not by_name:
            problem = f"{name!r} is not a resource: the project has none."
            raise UserError(problem, "Add one: fastforge add resource")
        hint = did_you_mean(name, by_name) or f"The resources are {', '.join(by_name)}."
        raise UserError(f"{name!r} is not a resource of the project.", hint)

    def _replaced(self, old: Resource, fields: list[str]) -> list[Resource]:
        return self._with(old, {**old, "fields": fields})

    def _with(self, old: Resource, new: Resource) -> list[Resource]:
        return [new if each is old else each for each in resources_of(self.answers)]

    def _table(self, resource: Resource) -> dict[str, Any]:
        """Return the parts of the resource that its table depends on. The owner is a field of it."""
        table = {name: value for name, value in resource.items() if name not in ("without", "owned")}
        owner = [self.grammar.owner_field] if resource.get("owned") else []
        return {**table, "fields": [*owner, *resource["fields"]]}

    def _refuse_fault(self, resources: Sequence[Resource]) -> None:
        if fault := self.grammar.fault_of(resources, self.answers.get("auth", "")):
            raise UserError(fault, HINTS["resources"])

    def _changed(self, resources: Sequence[Resource], step: Mapping[str, Any]) -> ProjectResources:
        self._refuse_fault(resources)
        revision = new_revision_id()
        made = {"id": revision, "after": self.head, "steps": [step]}
        revisions = [*self.answers.get("revisions", []), made]
        if fault := self.grammar.replay_fault(resources, revisions):
            raise UserError(fault, HINTS["revisions"])
        answers = {**self.answers, "resources": list(resources), "revisions": revisions}
        return replace(self, answers=answers, head=revision)


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


def _find_field(resource: Resource, name: str) -> str:
    fields = {text.split(":")[0]: text for text in resource["fields"]}
    stored = {f"{each}_id": text for each, text in fields.items() if text.split(":")[1].startswith("ref=")}
    if name in (known := stored | fields):
        return known[name]
    hint = did_you_mean(name, known) or f"The fields are {', '.join(fields)}."
    raise UserError(f"{name!r} is not a field of {resource['name']}.", hint)


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
