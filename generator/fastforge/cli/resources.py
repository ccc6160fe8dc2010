"""The commands for resources: add, remove, resources and resolve. Parse, call, print."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fastforge import interrupts
from fastforge.errors import EXIT_ATTENTION, UserError, write_json
from fastforge.template.resources import EXAMPLE, Resource, line_of, parse_line, read_resources
from fastforge.cli.update import change_lines, tell

if TYPE_CHECKING:
    from fastforge.template.grammar import Grammar
    from fastforge.project.locate import Project
    from fastforge.template.questions import Answers
    from fastforge.update.run import Update

    # From the answers, the grammar and the head of the migrations to the changed answers.
    Change = Callable[[Answers, Grammar, str], Answers]

_Project = Annotated[
    str, typer.Option("--project", "-p", metavar="PATH", help="The project's folder.", show_default=False)
]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the difference, and change nothing.")]
_Json = Annotated[
    bool, typer.Option("--json", help="Answer with one JSON document on standard output, for programs.")
]

add = typer.Typer(
    help="Add a resource, or a field to one: a changed answer, merged into the project like an update.",
    no_args_is_help=True,
)
remove = typer.Typer(
    help="Remove a resource, or a field of one, with a migration that drops it.", no_args_is_help=True
)


@add.command("resource")
def add_resource(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME FIELD...",
            help="The singular name, then its fields. `plural=WORD` and `without=batch,export,summary` are "
            "options of the resource.",
            show_default=False,
        ),
    ] = None,
    from_: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="FILE",
            help="Read resources from a YAML, JSON or TOML file; - is standard input. For many fields.",
        ),
    ] = None,
    project: _Project = ".",
    dry_run: _DryRun = False,
    json: _Json = False,
) -> int:
    """Add a resource with its table, routes, rules, tests and migration.

    Example: fastforge add resource order number:str:max=40:unique item:ref=items quantity:int:min=1
    """
    if bool(words) == (from_ is not None):
        problem = "Both a resource and --from were given." if words else "No resource was given."
        raise UserError(problem, f"Write it as: fastforge add resource {EXAMPLE}")
    resources = [parse_line(shlex.join(words))] if words else _resources_from(from_ or "")

    def change(answers: Answers, grammar: Grammar, head: str) -> Answers:
        from fastforge.update.resource_changes import add_resource, new_revision_id

        for resource in resources:
            revision = new_revision_id()
            answers = add_resource(answers, resource, grammar, head=head, revision=revision)
            head = revision
        return answers

    return _make(project, change, dry_run=dry_run, json=json)


@add.command("field")
def add_field(
    name: Annotated[str, typer.Argument(metavar="RESOURCE", help="Its singular name.", show_default=False)],
    field: Annotated[
        str, typer.Argument(metavar="FIELD", help="The field, as NAME:TYPE:OPTIONS.", show_default=False)
    ],
    project: _Project = ".",
    dry_run: _DryRun = False,
    json: _Json = False,
) -> int:
    """Add a field to a resource. Rows that exist get its default, or null if it is optional.

    Example: fastforge add field order paid_at:datetime:optional:filter
    """

    def change(answers: Answers, grammar: Grammar, head: str) -> Answers:
        from fastforge.update.resource_changes import add_field, new_revision_id

        return add_field(answers, name, field, grammar, head=head, revision=new_revision_id())

    return _make(project, change, dry_run=dry_run, json=json)


@remove.command("resource")
def remove_resource(
    name: Annotated[str, typer.Argument(metavar="RESOURCE", help="Its singular name.", show_default=False)],
    project: _Project = ".",
    dry_run: _DryRun = False,
    json: _Json = False,
) -> int:
    """Remove a resource. Its migration drops the table with all rows; files you edited become conflicts."""

    def change(answers: Answers, grammar: Grammar, head: str) -> Answers:
        from fastforge.update.resource_changes import new_revision_id, remove_resource

        return remove_resource(answers, name, grammar, head=head, revision=new_revision_id())

    return _make(project, change, dry_run=dry_run, json=json)


@remove.command("field")
def remove_field(
    name: Annotated[str, typer.Argument(metavar="RESOURCE", help="Its singular name.", show_default=False)],
    field: Annotated[str, typer.Argument(metavar="FIELD", help="The field's name.", show_default=False)],
    project: _Project = ".",
    dry_run: _DryRun = False,
    json: _Json = False,
) -> int:
    """Remove a field of a resource. Its migration drops the column with its values."""

    def change(answers: Answers, grammar: Grammar, head: str) -> Answers:
        from fastforge.update.resource_changes import new_revision_id, remove_field

        return remove_field(answers, name, field, grammar, head=head, revision=new_revision_id())

    return _make(project, change, dry_run=dry_run, json=json)


def resources(
    path: Annotated[
        str, typer.Argument(metavar="[PATH]", help="The project's folder.", show_default=False)
    ] = ".",
    json: _Json = False,
) -> int:
    """List the project's resources with their fields, paths and folders."""
    from fastforge.template.grammar import grammar
    from fastforge.project.locate import find_answered_folder, read_answers_file

    folder = find_answered_folder(path)
    answer = read_answers_file(folder).get("resources", [])
    nouns = grammar().nouns_of(answer)
    rows = [
        {
            "name": noun["name"],
            "path": f"/api/v1/{noun['path']}",
            "folder": f"app/{noun['plural']}",
            "fields": [field["text"] for field in noun["fields"]],
            "without": noun["without"],
        }
        for noun in nouns
    ]
    if json:
        write_json({"path": str(folder), "resources": rows})
        return 0
    for resource, row in zip(answer, rows, strict=True):
        print(f"{row['path']}  ({row['folder']}/)\n    {line_of(resource)}")
    if not rows:
        tell(f"{folder} has no resources.", "Add one: fastforge add resource " + EXAMPLE)
    return 0


def resolve(
    path: Annotated[
        str, typer.Argument(metavar="[PATH]", help="The project's folder.", show_default=False)
    ] = ".",
    json: _Json = False,
) -> int:
    """Resolve a git merge of two branches that each changed resources: take both, and render the files again.

    Exit code 3 says that conflicts are left, which are marked as git marks them.
    """
    from fastforge.update.resolve import resolve_project

    done = resolve_project(path)
    if json:
        write_json(done.document())
    tell(*done.lines())
    return EXIT_ATTENTION if done.conflicts else 0


def _resources_from(file: str) -> list[Resource]:
    from fastforge.template.answers import read_data

    example = '{"name": "order", "fields": ["number:str"]}'
    found = read_data(file, "--from", example=example)
    if isinstance(found, dict):
        found = found.get("resources", [found])
    if not isinstance(found, list) or not found:
        raise UserError(f"--from: {file!r} holds no resource.", f"Write it as: {example}")
    answer = read_resources(found)
    assert isinstance(answer, list)
    return answer


def _make(path: str, change: Change, *, dry_run: bool, json: bool) -> int:
    from fastforge.update.run import Wanted, update_project

    def of_project(project: Project, template: Path) -> Answers:
        from fastforge.update.resource_changes import resources_of
        from fastforge.template.grammar import grammar
        from fastforge.project.migrations import head_of_project

        # First, because a template without resources has no grammar of them.
        resources_of(project.answers)
        head = head_of_project(project.folder, project.answers)
        changed = change(project.answers, grammar(template), head)
        return {name: changed[name] for name in ("resources", "revisions")}

    last_exit = interrupts.pass_the_point_of_no_return
    done = update_project(Wanted(path, change=of_project, dry_run=dry_run, last_exit=last_exit))
    migrations = _migrations(done)
    if json:
        write_json({**done.document(), "migrations": migrations})
    elif dry_run and done.diff:
        print(done.diff)
    tell(*change_lines(done, migrations))
    return EXIT_ATTENTION if done.conflicts else 0


def _migrations(done: Update) -> list[str]:
    """Return the files of the migrations that the change adds."""
    if done.merged is None:
        return []
    paths = (path for path in done.merged.changed if done.merged.kind(path) == "added")
    return [path for path in paths if path.startswith("migrations/") and "/versions/" in path]
