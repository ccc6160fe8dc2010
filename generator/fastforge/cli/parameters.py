"""Parameters that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

ProjectPath = Annotated[
    str, typer.Argument(metavar="[PATH]", help="The project's directory.", show_default=False)
]
ProjectOption = Annotated[
    str, typer.Option("--project", "-p", metavar="PATH", help="The project's directory.", show_default=False)
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document to standard output.")]
ResourceName = Annotated[
    str, typer.Argument(metavar="RESOURCE", help="Its singular name.", show_default=False)
]
MeasuredResource = Annotated[
    str | None,
    typer.Option(
        "--resource",
        metavar="NAME",
        help="The resource whose endpoints get requests, such as orders. Default: the first one",
    ),
]
