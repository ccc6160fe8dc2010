"""`fastforge new`: generate a project."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from fastforge.cli.flags import QUESTIONS, complete
from fastforge.cli.output import tell
from fastforge.cli.parameters import DryRun, Json
from fastforge.errors import UserError, write_json
from fastforge.project.destination import find_destination
from fastforge.project.generate import NewOptions, NewProject, make_project
from fastforge.template.answers import load_presets, preset_answers, read_answers
from fastforge.template.grammar import grammar
from fastforge.template.prompts import ask_for_path
from fastforge.template.questions import HINTS, check_answers
from fastforge.template.resources import EXAMPLE

_ANSWERS = "Answers"
_SOURCES = "Sources of answers (precedence: flags, answers file, preset, defaults)"
_PRESETS = {preset.name: preset.help for preset in load_presets().values()}

_Path = Annotated[
    str | None,
    typer.Argument(
        metavar="PATH",
        help="The directory to generate, in a directory that exists. Its name is the default project name. "
        "Without PATH, a terminal asks for it; otherwise it is the current directory.",
        show_default=False,
    ),
]
_AnswersFile = Annotated[
    str | None,
    typer.Option(
        "--answers",
        metavar="FILE",
        help="Read answers from a YAML, JSON or TOML file; - is standard input. For pipelines, and for "
        "answers under version control.",
        rich_help_panel=_SOURCES,
    ),
]
_Preset = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Start from a named set of answers, which flags can change.\n\n"
        + "\n\n".join(f"{name} - {label}" for name, label in _PRESETS.items()),
        autocompletion=lambda incomplete: complete(_PRESETS, incomplete),
        rich_help_panel=_SOURCES,
    ),
]
_Defaults = Annotated[
    bool,
    typer.Option(
        "--defaults",
        help="Ask nothing, and take the default of each question without an answer. Implied by --json, and "
        "without a terminal.",
        rich_help_panel=_SOURCES,
    ),
]
_Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite",
        help="Generate into a directory that is not empty. Files of the same name are replaced; others stay "
        "unchanged. A failure restores everything. Commit your work first.",
    ),
]
_NoGit = Annotated[
    bool,
    typer.Option(
        "--no-git",
        help="Create no git repository with a first commit. Inside a repository, none is created anyway.",
    ),
]
_Resources = Annotated[
    list[str] | None,
    typer.Option(
        "--resource",
        metavar="TEXT",
        help="A resource that the service serves; repeatable. Its name and its fields are one argument: "
        f'"{EXAMPLE}". fastforge options lists the types and their options. Default: a sample, items.',
        rich_help_panel=_ANSWERS,
    ),
]
_NoResources = Annotated[
    bool,
    typer.Option("--no-resources", help="Generate a service without resources.", rich_help_panel=_ANSWERS),
]


def new(
    *,
    path: _Path = None,
    answers: _AnswersFile = None,
    preset: _Preset = None,
    defaults: _Defaults = False,
    dry_run: DryRun = False,
    json: Json = False,
    overwrite: _Overwrite = False,
    no_git: _NoGit = False,
    resource: _Resources = None,
    no_resources: _NoResources = False,
    **flags: str | None,
) -> None:
    """Generate a project.

    Asks for the answers that are missing. If it fails or is interrupted, nothing is left behind.

    Example: fastforge new myapi --database postgres --cache redis
    """
    ask = not (defaults or json) and _is_on_a_terminal()
    given = _given_answers(answers, flags, _given_resources(resource or [], none=no_resources))
    from_preset = check_answers(QUESTIONS, preset_answers(preset), "--preset") if preset else {}
    place = path if path is not None else ask_for_path() if ask else "."
    project = make_project(
        NewOptions(
            place,
            find_destination(place, overwrite=overwrite),
            given,
            from_preset,
            ask=ask,
            dry_run=dry_run,
            git=not no_git,
            overwrite=overwrite,
        )
    )
    if json:
        write_json(project.document())
    tell(*_lines(project))


def _given_answers(
    file: str | None, flags: Mapping[str, str | None], resources: Mapping[str, Any]
) -> dict[str, Any]:
    from_file = check_answers(QUESTIONS, read_answers(file), f"--answers {file}") if file is not None else {}
    from_flags = {name: _as_utf8(value) for name, value in flags.items() if value is not None}
    given = from_file | check_answers(QUESTIONS, {**from_flags, **resources}, "On the command line")
    # Checked before anything is asked; Copier checks only at the end.
    if "resources" in given and (fault := grammar().fault_of(given["resources"], given.get("auth", ""))):
        raise UserError(fault, HINTS["resources"])
    return given


def _given_resources(lines: Sequence[str], *, none: bool) -> dict[str, list[str]]:
    if lines and none:
        raise UserError("--no-resources contradicts --resource.", "Leave one of them out.")
    return {"resources": [_as_utf8(line) for line in lines]} if lines or none else {}


def _as_utf8(argument: str) -> str:
    """Return the argument, decoded as UTF-8 if the locale's encoding did not fit it."""
    return argument if argument.isprintable() else os.fsencode(argument).decode(errors="surrogateescape")


def _is_on_a_terminal() -> bool:
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


def _lines(project: NewProject) -> list[str]:
    made = "Would generate" if project.options.dry_run else "Generated"
    commit = f", first commit {project.commit}" if project.commit else ""
    return [
        *project.notes,
        f"{made} {project.directory} ({len(project.files)} files{commit}).",
        *([f"  {file}" for file in project.files] if project.options.dry_run else _next_steps(project)),
        "",
        "To repeat with the same answers:",
        f"  {project.command}",
    ]


def _next_steps(project: NewProject) -> list[str]:
    commands = [f"  {command}" for command in project.next_commands]
    return ["", "Next:", *commands, "README.md lists the servers that it needs, and what else it can do."]
