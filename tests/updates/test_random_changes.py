"""Commands for resources and updates lose no line, whatever the resources are and wherever owners write."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastforge.cli.app import run as run_here
from fastforge.errors import UserError
from fastforge.project.migrations import head_of_project
from fastforge.template.grammar import grammar
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.resource_lists import added_fields, resource_lists
from tests.updates.conftest import answers_of, commit, commit_new
from tests.updates.edits import renamed_module
from tests.variants.rendering import compiled_once
from tests.variants.space import default_variant

EXAMPLES = {"quick": 4, "covering": 12, "all": 40}
SLOW = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
OWN_REVISION = '''"""A revision by the owner."""

revision = "{revision}"
down_revision = {down!r}


def upgrade() -> None:
    """Nothing yet."""


def downgrade() -> None:
    """Nothing yet."""
'''


class Owner:
    """Writes lines into a project, and looks for them."""

    def __init__(self, data: st.DataObject, project: Path) -> None:
        self.data = data
        self.project = project
        # Each line, by the file that it was written into.
        self.lines: dict[str, list[str]] = {}
        self.revisions = 0
        self.renamed = 0

    def write(self) -> None:
        """Write a line into each file of a resource, and into what they share, anywhere in it."""
        for pattern in ("app/*/*.py", "app/*.py", "tests/test_*.py", "migrations/*/versions/*.py"):
            for file in sorted(self.project.glob(pattern)):
                self.write_into(str(file.relative_to(self.project)))
        if (self.project / "migrations").exists() and self.data.draw(st.booleans()):
            self.add_revision()
        commit(self.project)

    def write_into(self, name: str) -> None:
        """Write a line anywhere into the file: in front of any of its lines, or at its end."""
        lines = (self.project / name).read_text().splitlines(keepends=True)
        written = self.lines.setdefault(name, [])
        written.append(f"# Ours, line {len(written)} of {name}.\n")
        lines.insert(self.data.draw(st.integers(0, len(lines))), written[-1])
        (self.project / name).write_text("".join(lines))

    def rename_a_module(self) -> None:
        """Rename a module of a resource, or its tests, and every import of it."""
        resources = [file for file in self.project.glob("app/*/*.py") if file.parent.name != "forge"]
        files = sorted([*resources, *self.project.glob("tests/test_*.py")])
        names = [str(each.relative_to(self.project)) for each in files if each.name != "__init__.py"]
        old = self.data.draw(st.sampled_from(names))
        stem = Path(old).stem
        new = str(Path(old).with_stem(f"{stem}_of_ours" if stem.startswith("test_") else f"our_{stem}"))
        renamed_module(new)(self.project, old)
        self.lines[new] = self.lines.pop(old)
        self.renamed += 1
        commit(self.project)

    def add_revision(self) -> None:
        """Write a migration that comes after all that are there."""
        answers = answers_of(self.project)
        head = head_of_project(self.project, answers)
        self.revisions += 1
        versions = self.project / "migrations" / str(answers["database"]) / "versions"
        text = OWN_REVISION.format(revision=f"ours_{self.revisions}", down=head or None)
        (versions / f"ours_{self.revisions}.py").write_text(text)

    def losses(self, conflicts: list[str]) -> list[str]:
        """Return the lines that are gone; of a file in conflict, those that neither it nor its name shows."""
        return [
            f"{name}: {line}"
            for name, lines in self.lines.items()
            for line in lines
            if not self.keeps(name, line) and not any(each.startswith(name) for each in conflicts)
        ]

    def keeps(self, name: str, line: str) -> bool:
        """Return whether the line is in the file, once."""
        file = self.project / name
        return file.exists() and file.read_text().count(line) == 1

    def count(self) -> int:
        """Return how many lines there are to lose."""
        return sum(map(len, self.lines.values()))


def steps_for(data: st.DataObject, project: Path) -> list[tuple[str, list[str]]]:
    """Draw the commands of a project's life, in any order, each with what it is."""
    resources: list[dict[str, Any]] = answers_of(project)["resources"]  # type: ignore[assignment]
    to = data.draw(st.sampled_from(resources))["name"]
    noun = data.draw(st.sampled_from(grammar().nouns_of(resources)))
    field = data.draw(st.sampled_from(noun["fields"]))["name"]
    return data.draw(
        st.permutations(
            [
                ("add field", ["add", "field", to, data.draw(added_fields()).text]),
                ("remove field", ["remove", "field", noun["name"], field]),
                (
                    "add resource",
                    ["add", "resource", "newcomer", "name:str:unique", f"of:ref={noun['plural']}"],
                ),
                ("update", ["update"]),
            ]
        )
    )


def conflicts_in(project: Path) -> list[str]:
    """Return the files that git has as unmerged."""
    from tests.conftest import git

    return git(project, "diff", "--name-only", "--diff-filter=U").splitlines()


def test_lines_of_owners_stay_through_commands_in_any_order(
    rendered: Callable[..., Path],
    newest: Callable[[str], None],
    tmp_path_factory: pytest.TempPathFactory,
    record_property: Callable[[str, object], None],
    pytestconfig: pytest.Config,
) -> None:
    newest("v1.1.0")
    examples = EXAMPLES.get(pytestconfig.getoption("--variants"), 4)
    counts: dict[str, Counter[str]] = {}

    @given(st.data(), resource_lists().filter(bool), st.sampled_from(["sqlite", "postgres", "mongodb"]))
    @settings(
        deadline=None,
        max_examples=examples,
        phases=[Phase.explicit, Phase.reuse, Phase.generate],
        suppress_health_check=SLOW,
    )
    def live(data: st.DataObject, drawn: list[tuple[dict[str, Any], Any]], database: str) -> None:
        made: Any = {"database": database, "resources": [resource for resource, _ in drawn]}
        project = Path(
            shutil.copytree(rendered("v1.0.0", **made), tmp_path_factory.mktemp("lived") / "orders")
        )
        commit_new(project)
        owner = Owner(data, project)
        for what, command in steps_for(data, project):
            owner.write()
            if data.draw(st.booleans()):
                owner.rename_a_module()
            try:
                code = run_here(
                    [*command, *(["--project", str(project)] if what != "update" else [str(project)])]
                )
            except UserError:
                # The only field of a resource stays.
                assert what == "remove field"
                continue
            conflicts = conflicts_in(project)
            assert (code == 3) == bool(conflicts)
            losses = owner.losses(conflicts)
            counts.setdefault(what, Counter()).update(
                projects=1,
                edits=len(owner.lines),
                lines=owner.count(),
                renamed=owner.renamed,
                conflicts=len(conflicts),
                losses=len(losses),
            )
            assert losses == []
            if conflicts:
                return
            commit(project)

    with compiled_once():
        live()
    for what, counted in counts.items():
        row = {"what": f"random: {what}", "variant": default_variant().name, "counts": dict(counted)}
        record_property("updates", row)
