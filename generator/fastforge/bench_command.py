"""The command that measures a project. Parse and call; the project itself prints."""

from __future__ import annotations

from typing import Annotated

import typer


def bench(
    path: Annotated[
        str, typer.Argument(metavar="[PATH]", help="The project's folder.", show_default=False)
    ] = ".",
    quick: Annotated[
        bool, typer.Option("--quick", help="Short rounds: for a first look; more stays undecided.")
    ] = False,
    seconds: Annotated[
        str | None,
        typer.Option(
            metavar="SECONDS",
            help="Length of a round. Longer ones decide what stayed undecided. A tuning gets three times "
            "as many rounds, each a third as long. Default: 1",
        ),
    ] = None,
    rounds: Annotated[
        str | None,
        typer.Option(metavar="NUMBER", help="Rounds of every endpoint, which show the noise. Default: 3"),
    ] = None,
    endpoints: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="Only these, while you work on them: parts of their names, such as read,POST; "
            "or none. Default: all",
        ),
    ] = None,
    tunings: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="Only these, to look at some again: parts of their ids; none saves most of the time. "
            "Default: all",
        ),
    ] = None,
    connections: Annotated[
        str | None,
        typer.Option(metavar="NUMBER", help="Requests at once; more for a busier service. Default: 32"),
    ] = None,
    workers: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER",
            help="Processes that serve the endpoints, to see what more or fewer bring. "
            "Default: as in production",
        ),
    ] = None,
    port: Annotated[
        str | None,
        typer.Option(metavar="PORT", help="Where the service listens meanwhile. Default: any free port"),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Answer with one JSON document on standard output, for programs.")
    ] = False,
) -> int:
    """Measure a project on this machine: its endpoints against their targets, its tunings on and off.

    The project's own make bench does the same. It takes some minutes, fewer with --quick.

    Ctrl-C keeps what was measured so far. A page with plots is left in benchmarks/results of the project.
    """
    from fastforge.bench import bench_project

    values = {
        "--seconds": seconds,
        "--rounds": rounds,
        "--endpoints": endpoints,
        "--tunings": tunings,
        "--connections": connections,
        "--workers": workers,
        "--port": port,
    }
    given = [f"{flag}={value}" for flag, value in values.items() if value is not None]
    switches = [flag for flag, is_on in (("--quick", quick), ("--json", json)) if is_on]
    return bench_project(path, [*given, *switches])
