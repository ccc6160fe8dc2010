"""The commands that measure a project. Parse and call; the measuring kit prints."""

from __future__ import annotations

from typing import Annotated

import typer


def bench(
    path: Annotated[
        str, typer.Argument(metavar="[PATH]", help="The project's folder.", show_default=False)
    ] = ".",
    quick: Annotated[
        bool, typer.Option("--quick", help="Short rounds: for a first look; more stays inconclusive.")
    ] = False,
    seconds: Annotated[
        str | None,
        typer.Option(
            metavar="SECONDS",
            help="Length of a round. Longer ones leave less inconclusive. An optimization gets three times "
            "as many rounds, each a third as long. Default: 1",
        ),
    ] = None,
    rounds: Annotated[
        str | None,
        typer.Option(metavar="NUMBER", help="Rounds of every endpoint, which show the noise. Default: 3"),
    ] = None,
    resource: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The resource whose endpoints are measured, such as orders. Default: the first one",
        ),
    ] = None,
    endpoints: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="Only these: parts of their names, such as read,POST; or none. Default: all",
        ),
    ] = None,
    optimizations: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="Only these: parts of their ids; none saves most of the time. Default: all",
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
            help="Processes that serve the endpoints. Default: as in production",
        ),
    ] = None,
    port: Annotated[
        str | None,
        typer.Option(metavar="PORT", help="Port of the measured service. Default: any free port"),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Answer with one JSON document on standard output, for programs.")
    ] = False,
) -> int:
    """Measure a project on this machine: its endpoints against their targets, its optimizations on and off.

    The service runs as in production, on a database of the project's tests. That takes some
    minutes, fewer with --quick. The targets are in benchmarks/targets.toml of the project.

    Ctrl-C keeps the finished measurements. A page with plots is written to var/benchmarks of the project.
    """
    from fastforge.inspect.bench import bench_project

    values = {
        "--seconds": seconds,
        "--rounds": rounds,
        "--resource": resource,
        "--endpoints": endpoints,
        "--optimizations": optimizations,
        "--connections": connections,
        "--workers": workers,
        "--port": port,
    }
    given = [f"{flag}={value}" for flag, value in values.items() if value is not None]
    switches = [flag for flag, is_on in (("--quick", quick), ("--json", json)) if is_on]
    return bench_project(path, [*given, *switches])


def profile(
    path: Annotated[
        str, typer.Argument(metavar="[PATH]", help="The project's folder.", show_default=False)
    ] = ".",
    seconds: Annotated[
        str | None, typer.Option(metavar="SECONDS", help="How long to sample. Default: 12")
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="File of the flame graph, relative to the project; the table is beside it as .txt. "
            "Default: var/profile.svg",
        ),
    ] = None,
    resource: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The resource whose endpoints get requests, such as orders. Default: the first one",
        ),
    ] = None,
) -> int:
    """Draw a flame graph of a project under load, and print the functions that take most time.

    py-spy samples the service from outside, so that it runs as in production.
    """
    from fastforge.inspect.bench import profile_project

    given = {"--seconds": seconds, "--output": output, "--resource": resource}
    return profile_project(path, [f"{flag}={value}" for flag, value in given.items() if value is not None])
