"""A list of resources and a change of it, taken through all that a project does with them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fastforge.errors import UserError
from fastforge.template.grammar import grammar
from fastforge.template.resources import Resource
from fastforge.update.resource_changes import ProjectResources
from hypothesis import strategies as st

from testkit.servers.process import kill_processes_in
from testkit.servers.variables import ServerOf, variables_for
from tests.repository import VAR
from tests.resource_lists import added_fields
from tests.variants.rendering import Renderer, date_by_content
from tests.variants.running import Run
from tests.variants.space import Variant
from tests.variants.walk import Walk

GRAMMAR = grammar()
FOLDER = VAR / "drawn"
NEW_RESOURCE: Resource = {
    "name": "newcomer",
    "fields": ["name:str:unique", "rank:int:default=0:filter"],
}
Answers = Mapping[str, Any]


@dataclass
class Counts:
    """Counts of what was drawn and what was done with it."""

    lists: int = 0
    resources: int = 0
    fields: int = 0
    migrations: int = 0
    own_tests: int = 0
    served: int = 0
    requests: int = 0

    def as_data(self) -> dict[str, int]:
        """Return the counts by their names."""
        return asdict(self)


@dataclass(frozen=True)
class Change:
    """Answers before and after a change, and the fields whose values are lost on the way, by plural."""

    before: Answers
    after: Answers
    lost: Mapping[str, Sequence[str]] = field(default_factory=dict)


@st.composite
def changes(draw: st.DrawFn, resources: Sequence[Mapping[str, Any]]) -> Change:
    """Draw a field more and a field less, and perhaps a resource more or less."""
    before: dict[str, Any] = {"resources": list(resources), "revisions": GRAMMAR.revisions_of(resources)}
    lost: dict[str, list[str]] = {}
    resource = draw(st.sampled_from(resources))
    noun = draw(st.sampled_from(GRAMMAR.nouns_of(resources)))
    dropped = draw(st.sampled_from(noun["fields"]))["name"]
    at_first = ProjectResources(before, GRAMMAR, before["revisions"][-1]["id"])
    changed = at_first.add_field(resource["name"], draw(added_fields()).text)
    # The only field of a resource stays, and so does a resource that another refers to.
    with suppress(UserError):
        changed = changed.remove_field(noun["name"], dropped)
        lost[noun["plural"]] = [dropped]
    with suppress(UserError):
        is_more = draw(st.booleans())
        changed = changed.add_resource(NEW_RESOURCE) if is_more else changed.remove_resource(resource["name"])
    return Change(before, changed.answers, lost)


class Drawn:
    """A drawn list in one variant, whose projects share a database."""

    def __init__(self, variant: Variant, server_of: ServerOf, renderer: Renderer, name: str) -> None:
        self.variant = variant
        self.renderer = renderer
        self.folder = FOLDER / name
        self.counts = Counts(lists=1)
        kill_processes_in(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.servers = variables_for(dict(variant.answers), server_of, f"drawn {name}")
        if variant["database"] == "sqlite":
            self.servers["DATABASE_URL"] = f"sqlite:///{self.folder}/app.db"

    def project_of(self, answers: Answers, name: str) -> Run:
        """Return the project with these resources and revisions, installed."""
        run = Run(self.variant, self.servers)
        # Each worker has its own cache, and this looks at the rows in the database.
        run.workers = 1
        run.folder = self.folder / name
        run.project = run.folder / "project"
        run.folder.mkdir()
        asked = {"project_name": "Items API", **dict(self.variant.answers), **answers}
        project = self.renderer.render(asked)
        date_by_content(project)
        shutil.move(project.folder, run.project)
        run.install()
        return run

    def take_through(self, change: Change, types_cache: Path) -> None:
        """Check, test, migrate and serve the list; then the changed one, on its rows; then go back.

        The acceptance suite can be run where a service is: `run.accept(service)`.
        """
        nouns = GRAMMAR.nouns_of(change.before["resources"])
        self.counts.resources, self.counts.fields = len(nouns), sum(len(each["fields"]) for each in nouns)
        old = self.project_of(change.before, "old")
        self.check(old, types_cache)
        walk = self.served(old, nouns)
        new = self.project_of(change.after, "new")
        self.check(new, types_cache)
        self.served(new, GRAMMAR.nouns_of(change.after["resources"]), walk.rows)
        if self.variant["database"] == "mongodb":
            return
        self.downgrade(new)
        kept = {each["plural"] for each in GRAMMAR.nouns_of(change.after["resources"])}
        rows = {plural: rows for plural, rows in walk.rows.items() if plural in kept}
        self.served(old, nouns, rows, change.lost)

    def check(self, run: Run, types_cache: Path) -> None:
        """Check format, lint and types, and run the own tests, which migrate back and forth as well."""
        run.tool("ruff", "format", "--check")
        run.tool("ruff", "check")
        run.tool("mypy", "--cache-dir", str(types_cache))
        self.counts.own_tests += run.test()

    def served(
        self,
        run: Run,
        nouns: Sequence[Mapping[str, Any]],
        rows: Mapping[str, list[dict[str, Any]]] | None = None,
        lost: Mapping[str, Sequence[str]] | None = None,
    ) -> Walk:
        """Migrate and serve the project, and walk through it: from nothing, or on the rows that are there."""
        run.migrate()
        self.counts.migrations += 1
        with run.served() as service:
            walk = Walk(service.url, GRAMMAR.in_order(nouns), service.token, rows=dict(rows or {}))
            with walk.client:
                walk.there() if rows is None else walk.back(lost or {})
        self.counts.served += 1
        self.counts.requests += walk.requests
        return walk

    def downgrade(self, run: Run) -> None:
        """Take the database back to the first revision."""
        run.tool("alembic", "downgrade", "0001")
        self.counts.migrations += 1
