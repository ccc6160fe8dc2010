"""The commands: parse, call, print."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from fastforge.template.answers import load_presets, preset_answers, read_answers
from fastforge.cli.bench import bench, profile
from fastforge.errors import UserError, write_json
from fastforge.cli.explain import explain
from fastforge.template.grammar import describe_grammar, grammar, load_tables
from fastforge.template.questions import HINTS, Question, check_answers, load_questions
from fastforge.cli.resources import add, remove, resolve, resources
from fastforge.template.resources import EXAMPLE
from fastforge.cli.update import check, update

if TYPE_CHECKING:
    from fastforge.project.generate import NewProject


class PlainHelpGroup(TyperGroup):
    """Shows its own help without Rich, which is half of the time that `fastforge --help` takes."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 (passed on as they are)
        super().__init__(**settings | {"rich_markup_mode": None})


app = typer.Typer(
    name="fastforge",
    cls=PlainHelpGroup,
    help="Generates FastAPI services that are fast from the first commit, and keeps them fast.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_QUESTIONS = load_questions()
_PRESETS = load_presets()
_SOURCES_PANEL = "Answers from elsewhere (a flag goes before a file, a file before a preset)"
_PLACE_PANEL = "Where and how"


def run(arguments: list[str]) -> int:
    """Run the command line and return its exit code; whatever goes wrong is raised."""
    result = app(arguments, prog_name="fastforge", standalone_mode=False)
    return result if isinstance(result, int) else 0


def _show_version(wanted: bool) -> None:
    if not wanted:
        return
    from importlib.metadata import version

    from fastforge.template.source import DISTRIBUTION, SourceUnknown, template_commit

    try:
        commit = template_commit()
    except SourceUnknown as why:
        commit = f"of unknown commit: {why}"
    print(f"fastforge {version(DISTRIBUTION)} (template {commit})")
    raise typer.Exit


@app.callback()
def fastforge(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """Generates FastAPI services that are fast from the first commit, and keeps them fast."""


def _new(
    path: Annotated[
        str | None,
        typer.Argument(
            metavar="PATH",
            help="Where the project goes. Its parent must exist; its last part is the default project name. "
            "Left out, it is asked for on a terminal, and is the current folder elsewhere.",
            show_default=False,
        ),
    ] = None,
    answers: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Read answers from a YAML, JSON or TOML file; - is standard input. For pipelines, and for "
            "answers kept under version control.",
            rich_help_panel=_SOURCES_PANEL,
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Start from a named set of answers, and change some of them with flags.\n\n"
            + "\n\n".join(f"{each.name} - {each.help}" for each in _PRESETS.values()),
            autocompletion=lambda incomplete: _complete(
                {each.name: each.help for each in _PRESETS.values()}, incomplete
            ),
            rich_help_panel=_SOURCES_PANEL,
        ),
    ] = None,
    defaults: Annotated[
        bool,
        typer.Option(
            "--defaults",
            help="Ask nothing; what was not answered takes its default. Always so without a terminal.",
            rich_help_panel=_SOURCES_PANEL,
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Say what would be made, and make nothing.", rich_help_panel=_PLACE_PANEL
        ),
    ] = False,
    json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Answer with one JSON document on standard output, for programs. Asks nothing.",
            rich_help_panel=_PLACE_PANEL,
        ),
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Generate into a folder that is not empty: files of the same name are replaced, all others "
            "stay as they are, and a failure puts everything back. Commit your work first.",
            rich_help_panel=_PLACE_PANEL,
        ),
    ] = False,
    no_git: Annotated[
        bool,
        typer.Option(
            "--no-git",
            help="Make no git repository and no first commit. Inside a repository none is made anyway.",
            rich_help_panel=_PLACE_PANEL,
        ),
    ] = False,
    resource: Annotated[
        list[str] | None,
        typer.Option(
            "--resource",
            metavar="TEXT",
            help="What the service serves; repeatable. The name, then its fields, in one argument: "
            f'"{EXAMPLE}". The types and their options: fastforge options. Default: the sample, items.',
            rich_help_panel="Answers",
        ),
    ] = None,
    no_resources: Annotated[
        bool,
        typer.Option("--no-resources", help="Serve nothing yet.", rich_help_panel="Answers"),
    ] = False,
    **flags: str | None,
) -> None:
    """Generate a project.

    Asks what was not given. Nothing is left behind when it fails or is interrupted.
    """
    from fastforge.project.destination import find_destination

    ask = not (defaults or json) and _on_a_terminal()
    given = _given_answers(answers, flags, _given_resources(resource or [], none=no_resources))
    start = check_answers(_QUESTIONS, preset_answers(preset), "--preset") if preset else {}
    place = path if path is not None else _ask_for_path() if ask else "."
    destination = find_destination(place, overwrite=overwrite)
    # After the checks above: this imports Copier's prompts and plumbum, half a second of work.
    from fastforge.project.generate import Wanted, make_project

    switches = [flag for flag, is_on in (("--no-git", no_git), ("--overwrite", overwrite)) if is_on]
    wanted = Wanted(place, destination, given, start, ask, dry_run, git=not no_git, flags=switches)
    project = make_project(wanted)
    if json:
        write_json(project.document())
    _tell(
        *project.notes,
        f"{'Would make' if dry_run else 'Made'} {project.folder} ({len(project.files)} files"
        + (f", first commit {project.commit})." if project.commit else ")."),
        *([f"  {file}" for file in project.files] if dry_run else []),
        *([] if dry_run else _next_steps(project)),
        "",
        "The same answers again:",
        f"  {project.command}",
    )


def _next_steps(project: NewProject) -> list[str]:
    commands = [f"  {command}" for command in project.next_commands]
    return ["", "Next:", *commands, "Its README.md says which servers it needs, and what else it can do."]


@app.command()
def options(
    json: Annotated[
        bool,
        typer.Option("--json", help="Print a JSON Schema of the answers file, for programs and editors."),
    ] = False,
) -> None:
    """List the questions with their choices, defaults and help."""
    if json:
        from fastforge.template.schema import answers_schema

        write_json(answers_schema(_QUESTIONS, _PRESETS.values(), load_tables()))
        return
    print("\n\n".join(_describe(question) for question in _QUESTIONS if not question.is_list))
    print("\n" + "\n".join(describe_grammar(load_tables())))
    print("\nPresets (fastforge new --preset NAME):")
    width = max(map(len, _PRESETS))
    for preset in _PRESETS.values():
        print(f"    {preset.name:<{width}}  {preset.help}")


def _describe(question: Question) -> str:
    width = max(map(len, question.choices), default=0)
    default = "computed from PATH" if question.default is None else question.default
    return "\n".join(
        [
            f"{question.name}  ({question.flag})",
            f"    {question.help}",
            *([f"    Asked only when {question.condition}."] if question.condition else []),
            *(f"    {value:<{width}}  {label}" for value, label in question.choices.items()),
            f"    Default: {default}",
        ]
    )


def _given_answers(
    file: str | None, flags: Mapping[str, str | None], resources: Mapping[str, Any]
) -> dict[str, Any]:
    from_file = check_answers(_QUESTIONS, read_answers(file), f"--answers {file}") if file is not None else {}
    from_flags = {name: _as_utf8(value) for name, value in flags.items() if value is not None}
    given = from_file | check_answers(_QUESTIONS, {**from_flags, **resources}, "On the command line")
    # Before anything is asked: Copier would refuse them only in the end.
    if "resources" in given and (fault := grammar().fault_of(given["resources"])):
        raise UserError(fault, HINTS["resources"])
    return given


def _given_resources(lines: Sequence[str], *, none: bool) -> dict[str, list[str]]:
    if lines and none:
        raise UserError("--no-resources contradicts --resource.", "Leave one of them out.")
    return {"resources": [_as_utf8(line) for line in lines]} if lines or none else {}


def _as_utf8(argument: str) -> str:
    """Return the argument as its bytes read in UTF-8, where the locale's encoding made no sense of them."""
    return argument if argument.isprintable() else os.fsencode(argument).decode(errors="surrogateescape")


def _on_a_terminal() -> bool:
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


def _ask_for_path() -> str:
    from fastforge.template.render import ask_for_path

    return ask_for_path()


def _tell(*lines: str) -> None:
    if sys.stderr:
        print("\n".join(lines), file=sys.stderr)


def _complete(values: Mapping[str, str], incomplete: str) -> list[tuple[str, str]]:
    return [(value, label) for value, label in values.items() if value.startswith(incomplete)]


def _flag_parameter(question: Question) -> inspect.Parameter:
    def complete(incomplete: str) -> list[tuple[str, str]]:
        return _complete(question.choices, incomplete)

    option = typer.Option(
        question.flag,
        metavar="CHOICE" if question.choices else "TEXT",
        help=_flag_help(question),
        autocompletion=complete,
        rich_help_panel="Answers",
    )
    annotation = Annotated[str | None, option]
    return inspect.Parameter(
        question.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
    )


def _flag_help(question: Question) -> str:
    asked = [f"Only when {question.condition}."] if question.condition else []
    choices = [f"{value} - {label}" for value, label in question.choices.items()]
    default = [f"Default: {question.default}"] if question.default else []
    # An empty line between two is what Rich takes for a line break, a bracket for markup.
    return "\n\n".join([" ".join([question.help, *asked]), *choices, *default]).replace("[", r"\[")


def _with_flags(questions: Sequence[Question]) -> Any:  # noqa: ANN401 (a function, seen through its signature)
    """Return `_new` with one option per question in the place of `**flags`."""
    signature = inspect.signature(_new, eval_str=True)
    own = [each for each in signature.parameters.values() if each.kind is not inspect.Parameter.VAR_KEYWORD]
    own = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own]
    _new.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[own[0], *map(_flag_parameter, questions), *own[1:]]
    )
    return _new


app.command("new")(_with_flags([question for question in _QUESTIONS if not question.is_list]))
app.registered_commands.reverse()
app.add_typer(add, name="add")
app.add_typer(remove, name="remove")
app.command("resources")(resources)
app.command("resolve")(resolve)
app.command("update")(update)
app.command("check")(check)
app.command("bench")(bench)
app.command("profile")(profile)
app.command("explain")(explain)
