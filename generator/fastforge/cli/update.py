"""`fastforge update` and `fastforge check`: newer templates and other answers."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastforge import interrupts
from fastforge.cli.output import tell
from fastforge.cli.parameters import DryRun, Json, ProjectPath
from fastforge.errors import EXIT_ATTENTION, UserError, write_json
from fastforge.template.questions import Answers
from fastforge.template.resources import changes_in_words, revisions_in_words

if TYPE_CHECKING:
    from fastforge.update.plan import Plan
    from fastforge.update.run import Update

_Paths = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[PATH]", help="The project's directory; with --all, any number.", show_default=False
    ),
]
_To = Annotated[
    str | None,
    typer.Option("--to", metavar="VERSION", help="Version of the template. Default: that of this FastForge."),
]
_Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Change an answer, such as cache=redis; repeatable."),
]
_Verify = Annotated[
    bool,
    typer.Option(
        "--verify",
        help="Also run the project's tests, and its benchmark before and after. A failure undoes the update.",
    ),
]
_Abort = Annotated[bool, typer.Option("--abort", help="Undo the last update, if it is not committed yet.")]
_All = Annotated[
    bool,
    typer.Option(
        "--all",
        help="Update every PATH on a separate branch, and run its tests. A PATH may also be a directory of "
        "projects, or @FILE with one per line. It can be interrupted, and run again.",
    ),
]


def update(
    paths: _Paths = None,
    to: _To = None,
    set_: _Set = None,
    verify: _Verify = False,
    dry_run: DryRun = False,
    abort: _Abort = False,
    all_: _All = False,
    json: Json = False,
) -> int:
    """Merge a newer template, or other answers, into a project.

    No line of your own is lost. The changes are staged, for you to review, test and commit. Exit code 3 means
    that there are conflicts, which are marked as git marks them. After a failure, the project is unchanged.

    Example: fastforge update --set cache=redis --dry-run
    """
    path, *more = paths or ["."]
    changes = _changes(set_ or [])
    if all_:
        return _update_all([path, *more], to, changes, json=json)
    if more:
        raise UserError(f"{more[0]!r} is one PATH too many.", "Add --all to update several.")
    if abort:
        return _abort(path, json=json)
    # Imported after the cases above, which do not need Copier.
    from fastforge.update.plan import UpdateOptions
    from fastforge.update.run import update_project

    last_exit = interrupts.pass_the_point_of_no_return
    done = update_project(UpdateOptions(path, to, changes, dry_run, verify, last_exit=last_exit))
    return print_update(done, json=json)


def check(path: ProjectPath = ".", json: Json = False) -> int:
    """Check for a newer template, and show its optimizations.

    Exit code 0 means that the project is up to date, 3 that an update is available.
    """
    from fastforge.template.releases import release_lines
    from fastforge.update.check import check_project

    found = check_project(path)
    if json:
        write_json(found.document())
    if found.is_current:
        tell(f"{found.project.directory} is up to date ({found.project.version}).")
        return 0
    tell(
        f"{found.project.directory} has {found.project.version}; {found.newest} is available.",
        *(f"  {each['version']} ({each['date']}): {each['summary']}" for each in found.brings["releases"]),
        *release_lines(found.brings),
        "",
        f"Show the changes: {_command('--dry-run', path)}",
        f"Update: {_command(path)}",
    )
    return EXIT_ATTENTION


def print_update(done: Update, migrations: list[str] | None = None, *, json: bool) -> int:
    """Print the outcome, with the migrations of a change of resources, and return the exit code."""
    if json:
        write_json(done.document() | ({} if migrations is None else {"migrations": migrations}))
    elif done.diff:
        print(done.diff)
    tell(*_lines(done, migrations or []))
    return EXIT_ATTENTION if done.conflicts else 0


def _lines(done: Update, migrations: list[str]) -> list[str]:
    directory, plan, is_dry = done.project.directory, done.plan, done.options.dry_run
    if plan is None:
        return [*done.notes, f"{directory} is up to date ({done.version})."]
    from fastforge.template.releases import release_lines

    if done.version == done.project.version:
        headline = f"{'Would change' if is_dry else 'Changed'} {directory}."
    else:
        would = "Would update" if is_dry else "Updated"
        headline = f"{would} {directory} from {done.project.version} to {done.version}."
    migrate = ["", f"Read {', '.join(migrations)}, then run make migrate."]
    return [
        *done.notes,
        headline,
        *_file_lines(plan),
        *_answer_lines(plan.changed_answers),
        *_follow_up_lines(plan.follow_up),
        *release_lines(plan.brings),
        *(migrate if migrations and not is_dry else []),
        *_next_lines(done),
    ]


def _file_lines(plan: Plan) -> list[str]:
    signs = {"added": "+", "deleted": "-", "modified": "~", "conflict": "!"}
    return [
        *(f"  {signs[plan.merged.kind(path)]} {path}" for path in plan.merged.changed),
        *(f"  = {path} stays deleted; the template has a newer one" for path in plan.merged.kept_deleted),
    ]


def _answer_lines(answers: Mapping[str, list[Any]]) -> list[str]:
    in_words = {"resources": changes_in_words, "revisions": revisions_in_words}
    rows = [
        f"  {name}: {line}"
        for name, (old, new) in answers.items()
        for line in (
            in_words[name](old, new)
            if name in in_words
            else [f"{old or 'not asked'} -> {new or 'not asked'}"]
        )
    ]
    return ["", "Answers:", *rows] if rows else []


def _follow_up_lines(follow_up: Mapping[str, list[str]]) -> list[str]:
    titles = {
        "settings_added": "New settings (see .env.example):",
        "settings_removed": "Removed settings:",
        "dependencies_added": "New dependencies:",
        "dependencies_removed": "Removed dependencies:",
    }
    names = [
        line
        for key, title in titles.items()
        if follow_up[key]
        for line in (title, f"  {', '.join(follow_up[key])}")
    ]
    steps = [f"  {step}" for step in follow_up["by_hand"]]
    sections = [*names, *(["Manual steps for the new answers:", *steps] if steps else [])]
    return ["", *sections] if sections else []


def _next_lines(done: Update) -> list[str]:
    if done.options.dry_run:
        return []
    bench: list[Any] = []
    if done.verification and done.verification.bench_after:
        bench = ["", "Before:", done.verification.bench_before, "After:", done.verification.bench_after]
    if done.conflicts:
        review = "Conflicts (!) are marked in the files. Resolve them, then git add and commit."
    elif done.verification:
        review = "The project's tests passed. Review the changes with git diff --staged, then commit."
    else:
        review = "Review the changes with git diff --staged, run make test, then commit."
    return [*bench, "", review, f"To undo it: {_command('--abort', done.options.path)}"]


def _update_all(places: list[str], to: str | None, changes: Answers, *, json: bool) -> int:
    from fastforge.update.batch import find_projects, update_all

    outcomes = []
    for outcome in update_all(find_projects(places), to, changes):
        outcomes.append(outcome)
        tell(f"{outcome.result:12}  {outcome.path}  {outcome.branch or ''}  {outcome.detail}".rstrip())
    counts = Counter(each.result for each in outcomes)
    if json:
        write_json({"projects": [vars(each) for each in outcomes], "counts": counts})
    tell("", ", ".join(f"{count} {result}" for result, count in counts.items()))
    return EXIT_ATTENTION if counts.keys() - {"updated", "current"} else 0


def _abort(path: str, *, json: bool) -> int:
    from fastforge.project.locate import find_repository
    from fastforge.update.apply import recover, undo

    project = find_repository(path)
    files, kept = ([], None) if recover(project) else undo(project)
    if json:
        write_json({"path": str(project.directory), "files": files, "kept": str(kept) if kept else None})
    tell(f"Undid the update of {project.directory} ({len(files)} files).")
    if kept:
        tell(f"Your changes since then are in {kept}")
    return 0


def _changes(settings: list[str]) -> dict[str, Any]:
    for setting in settings:
        if "=" not in setting:
            raise UserError(f"--set: {setting!r} has no '='.", "Write it as NAME=VALUE, such as cache=redis.")
    return dict(setting.split("=", 1) for setting in settings)


def _command(*arguments: str) -> str:
    return shlex.join(["fastforge", "update", *(each for each in arguments if each != ".")])
