"""`fastforge add`, `remove`, `resources` and `resolve`: the resources of a project."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fastforge import interrupts
from fastforge.cli.output import tell
from fastforge.cli.parameters import DryRun, Json, ProjectOption, ProjectPath, ResourceName
from fastforge.cli.update import print_update
from fastforge.errors import EXIT_ATTENTION, UserError, write_json
from fastforge.template.resources import EXAMPLE, Resource, line_of, parse_line, read_resources

if TYPE_CHECKING:
    from fastforge.project.locate import Project
    from fastforge.template.questions import Answers
    from fastforge.update.resource_changes import ProjectResources
    from fastforge.update.run import Update


_FILE_EXAMPLE = '{"name": "order", "fields": ["number:str"]}'

_Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="NAME FIELD...",
        help="The singular name, then the fields. `plural=WORD`, `without=batch,export,summary` and `owned` "
        "are options of the resource.",
        show_default=False,
    ),
]
_From = Annotated[
    str | None,
    typer.Option(
        "--from", metavar="FILE", help="Read resources from a YAML, JSON or TOML file; - is standard input."
    ),
]

add = typer.Typer(
    help="Add a resource, a field or an owner, merged like an update.",
    no_args_is_help=True,
)
remove = typer.Typer(
    help="Remove a resource, a field or an owner, merged like an update.", no_args_is_help=True
)


@add.command("resource")
def add_resource(
    words: _Words = None,
    from_: _From = None,
    project: ProjectOption = ".",
    dry_run: DryRun = False,
    json: Json = False,
) -> int:
    """Add a resource: its table, routes, rules, tests and migration.

    Example: fastforge add resource order number:str:max=40:unique item:ref=items quantity:int:min=1
    """
    if bool(words) == (from_ is not None):
        problem = "Both a resource and --from were given." if words else "No resource was given."
        raise UserError(problem, f"Write it as: fastforge add resource {EXAMPLE}")
    resources = [parse_line(shlex.join(words))] if words else _resources_from(from_ or "")

    def add_all(before: ProjectResources) -> ProjectResources:
        return reduce(lambda after, resource: after.add_resource(resource), resources, before)

    return _change(project, add_all, dry_run=dry_run, json=json)


@add.command("field")
def add_field(
    name: ResourceName,
    field: Annotated[
        str, typer.Argument(metavar="FIELD", help="The field, as NAME:TYPE:OPTIONS.", show_default=False)
    ],
    project: ProjectOption = ".",
    dry_run: DryRun = False,
    json: Json = False,
) -> int:
    """Add a field to a resource.

    Existing rows get its default, or null if it is optional.

    Example: fastforge add field order paid_at:datetime:optional:filter
    """
    return _change(project, lambda before: before.add_field(name, field), dry_run=dry_run, json=json)


@add.command("owner")
def add_owner(
    name: ResourceName, project: ProjectOption = ".", dry_run: DryRun = False, json: Json = False
) -> int:
    """Make a resource owned: callers see and change only the rows that they created.

    Existing rows have no owner. Only callers with the scope to see all find them.
    """
    return _change(project, lambda before: before.add_owner(name), dry_run=dry_run, json=json)


@remove.command("owner")
def remove_owner(
    name: ResourceName, project: ProjectOption = ".", dry_run: DryRun = False, json: Json = False
) -> int:
    """Show the rows of an owned resource to all callers, with a migration that drops their owners."""
    return _change(project, lambda before: before.remove_owner(name), dry_run=dry_run, json=json)


@remove.command("resource")
def remove_resource(
    name: ResourceName, project: ProjectOption = ".", dry_run: DryRun = False, json: Json = False
) -> int:
    """Remove a resource, with a migration that drops its table and rows.

    Files of the resource that you edited become conflicts.
    """
    return _change(project, lambda before: before.remove_resource(name), dry_run=dry_run, json=json)


@remove.command("field")
def remove_field(
    name: ResourceName,
    field: Annotated[str, typer.Argument(metavar="FIELD", help="The field's name.", show_default=False)],
    project: ProjectOption = ".",
    dry_run: DryRun = False,
    json: Json = False,
) -> int:
    """Remove a field of a resource, with a migration that drops its column."""
    return _change(project, lambda before: before.remove_field(name, field), dry_run=dry_run, json=json)


def resources(path: ProjectPath = ".", json: Json = False) -> int:
    """List the resources of a project, with their fields and paths."""
    from fastforge.project.locate import find_directory, read_recorded
    from fastforge.template.grammar import grammar

    directory = find_directory(path)
    answer = read_recorded(directory).get("resources", [])
    rows = [
        {
            "name": noun["name"],
            "path": f"/api/v1/{noun['path']}",
            "folder": f"app/{noun['plural']}",
            "fields": [field["text"] for field in noun["fields"]],
            "without": noun["without"],
            "owned": noun["owned"],
        }
        for noun in grammar().nouns_of(answer)
    ]
    if json:
        write_json({"path": str(directory), "resources": rows})
        return 0
    for resource, row in zip(answer, rows, strict=True):
        print(f"{row['path']}  ({row['folder']}/)\n    {line_of(resource)}")
    if not rows:
        tell(f"{directory} has no resources.", "Add one: fastforge add resource " + EXAMPLE)
    return 0


def resolve(path: ProjectPath = ".", json: Json = False) -> int:
    """Resolve a git merge of branches that changed resources.

    The changes of both are combined, and the files are rendered again. Exit code 3 means that conflicts are
    left. They are marked as git marks them.
    """
    from fastforge.update.resolve import resolve_project

    done = resolve_project(path)
    if json:
        write_json(done.document())
    tell(*done.lines())
    return EXIT_ATTENTION if done.conflicts else 0


def _resources_from(file: str) -> list[Resource]:
    from fastforge.template.answers import read_data

    found = read_data(file, "--from", example=_FILE_EXAMPLE)
    if isinstance(found, dict):
        found = found.get("resources", [found])
    if not isinstance(found, list) or not found:
        raise UserError(f"--from: {file!r} contains no resource.", f"Write it as: {_FILE_EXAMPLE}")
    return read_resources(found)


def _change(
    path: str, change: Callable[[ProjectResources], ProjectResources], *, dry_run: bool, json: bool
) -> int:
    from fastforge.update.plan import UpdateOptions
    from fastforge.update.run import update_project

    def changed_answers(project: Project, template: Path) -> Answers:
        from fastforge.project.migrations import head_of_project
        from fastforge.template.grammar import grammar
        from fastforge.update.resource_changes import ProjectResources, resources_of

        # First, because a template without resources has no grammar.
        resources_of(project.answers)
        head = head_of_project(project.directory, project.answers)
        answers = change(ProjectResources(project.answers, grammar(template), head)).answers
        return {name: answers[name] for name in ("resources", "revisions")}

    last_exit = interrupts.pass_the_point_of_no_return
    options = UpdateOptions(path, change=changed_answers, dry_run=dry_run, last_exit=last_exit)
    done = update_project(options)
    return print_update(done, _migrations(done), json=json)


def _migrations(done: Update) -> list[str]:
    """Return the files of the migrations that the change adds."""
    if done.plan is None:
        return []
    merged = done.plan.merged
    added = (path for path in merged.changed if merged.kind(path) == "added")
    return [path for path in added if path.startswith("migrations/") and "/versions/" in path]
