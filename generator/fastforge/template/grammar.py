"""The grammar of resources, from the tables and macros that Copier's validators use."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from fastforge.template.questions import read_config
from fastforge.template.resources import EXAMPLE
from fastforge.template.source import template_directory

_MACROS = "macros/resources.jinja"
_TABLES = ("field_types", "resource_limits", "reserved_in_resources")


@dataclass(frozen=True)
class Tables:
    """The tables of `copier.yml` about resources: field types with their options, limits, and the sample."""

    types: Mapping[str, Any]
    limits: Mapping[str, int]
    sample: list[dict[str, Any]]


class Grammar:
    """The macros of one version of the template. Copier is not imported."""

    def __init__(self, template: Path) -> None:
        from jinja2 import FileSystemLoader, StrictUndefined
        from jinja2.sandbox import SandboxedEnvironment

        config = read_config(template)
        options = {name: value for name, value in config["_envops"].items() if name != "undefined"}
        environment = SandboxedEnvironment(
            loader=FileSystemLoader(template),
            extensions=["jinja2_ansible_filters.AnsibleCoreFiltersExtension"],
            undefined=StrictUndefined,
            **options,
        )
        tables = {name: config[name]["default"] for name in _TABLES}
        self.types: Mapping[str, Any] = tables["field_types"]
        self._macros: Any = environment.get_template(_MACROS).make_module(tables)

    def fault_of(self, resources: object, auth: str = "") -> str:
        """Return the first fault of the answer in one sentence, or an empty string.

        `auth` is the answer to that question, if it is known.
        """
        return str(self._macros.fault_of(resources, auth))

    @property
    def owner_field(self) -> str:
        """The field of revisions for the owner of an owned resource."""
        return str(self._macros.owner_field())

    def nouns_of(self, resources: object) -> list[dict[str, Any]]:
        """Return the resources as templates see them. They must have no fault."""
        return list(json.loads(self._macros.nouns_of(resources)))

    def in_order(self, nouns: object) -> list[dict[str, Any]]:
        """Return the nouns, each after those that it refers to."""
        return list(json.loads(self._macros.in_order(nouns)))

    def revisions_of(self, resources: object) -> list[dict[str, Any]]:
        """Return the revision that creates all of the resources. They must have no fault."""
        return list(json.loads(self._macros.revisions_of(resources)))

    def replay_fault(self, resources: object, revisions: object) -> str:
        """Return the first fault of the revisions, or of their result, the resources; or an empty string."""
        return str(self._macros.replay_fault(resources, revisions))

    def migrations_of(self, revisions: object) -> list[dict[str, Any]]:
        """Return the revisions as templates see them. They must have no fault."""
        return list(json.loads(self._macros.migrations_of(revisions)))


@cache
def grammar(template: Path | None = None) -> Grammar:
    """Return the grammar of the template in the directory; None is the one that FastForge carries."""
    return Grammar(template or template_directory())


def load_tables() -> Tables:
    """Return the tables of the template that FastForge carries."""
    config = read_config(template_directory())
    return Tables(
        *(config[name]["default"] for name in ("field_types", "resource_limits", "sample_resources"))
    )


def describe_grammar(tables: Tables) -> Iterator[str]:
    """Yield the lines that explain how to write a resource."""
    yield "resources  (--resource, repeatable; --no-resources)"
    yield "    The name of a resource, then its fields as NAME:TYPE:OPTION:OPTION, such as:"
    yield f"    {EXAMPLE}"
    yield "    plural=WORD is for irregular plurals; without=batch,export,summary leaves endpoints out;"
    yield "    owned: callers see and change only the rows that they created (needs --auth)."
    width = max(len(details.get("example", name)) for name, details in tables.types.items())
    for name, details in tables.types.items():
        options = "  ".join(_option_in_words(option, spec) for option, spec in details["options"].items())
        yield f"    {details.get('example', name):<{width}}  {details['json']}"
        yield f"    {'':<{width}}  {options}"
    yield "    Default: a sample, items"


def _option_in_words(option: str, spec: object) -> str:
    match spec:
        case "flag":
            return option
        case list():
            return f"{option}={'|'.join(spec)}"
        case dict():
            return f"{option}={spec['default']}"
        case _:
            return f"{option}="
