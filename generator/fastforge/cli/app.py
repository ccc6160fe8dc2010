"""The command line: its commands, in the order in which `fastforge --help` lists them."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from fastforge.cli.bench import bench, profile
from fastforge.cli.doctor import doctor
from fastforge.cli.explain import explain
from fastforge.cli.flags import with_flags
from fastforge.cli.new import new
from fastforge.cli.options import options
from fastforge.cli.resources import add, remove, resolve, resources
from fastforge.cli.update import check, update

_SUMMARY = "Generate FastAPI services that are fast from the first commit, and keep them fast."


class PlainHelpGroup(TyperGroup):
    """A group whose own help does not use Rich, which takes half of the time of `fastforge --help`."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 (passed on unchanged)
        super().__init__(**settings | {"rich_markup_mode": None})


app = typer.Typer(
    name="fastforge",
    cls=PlainHelpGroup,
    help=_SUMMARY,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def run(arguments: list[str]) -> int:
    """Run the command line, and return its exit code. Errors are raised."""
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


@app.callback(help=_SUMMARY)
def _fastforge(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None: ...


app.add_typer(add, name="add")
app.add_typer(remove, name="remove")
for command in (with_flags(new), options, resources, resolve, update, check, bench, profile, explain, doctor):
    app.command()(command)
