"""`fastforge bench` and `fastforge profile`: measure a project. The measuring kit prints the results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer

from fastforge.cli.parameters import Json, MeasuredResource, ProjectPath

_Quick = Annotated[
    bool, typer.Option("--quick", help="Short rounds, for a first look. More results are inconclusive.")
]
_SecondsOfRound = Annotated[
    str | None,
    typer.Option(
        metavar="SECONDS",
        help="Length of a round. Longer rounds leave fewer results inconclusive. An optimization gets three "
        "times as many rounds, each a third as long. Default: 1",
    ),
]
_Rounds = Annotated[
    str | None,
    typer.Option(metavar="NUMBER", help="Rounds of each endpoint, which show the noise. Default: 3"),
]
_Endpoints = Annotated[
    str | None,
    typer.Option(
        metavar="LIST", help="Parts of the names of endpoints, such as read,POST; or none. Default: all"
    ),
]
_Optimizations = Annotated[
    str | None,
    typer.Option(
        metavar="LIST", help="Parts of the ids of optimizations; none saves most of the time. Default: all"
    ),
]
_Connections = Annotated[
    str | None, typer.Option(metavar="NUMBER", help="Number of concurrent requests. Default: 32")
]
_Workers = Annotated[
    str | None,
    typer.Option(
        metavar="NUMBER", help="Number of processes that serve the endpoints. Default: as in production"
    ),
]
_Port = Annotated[
    str | None, typer.Option(metavar="PORT", help="Port of the measured service. Default: any free port")
]
_SecondsOfSampling = Annotated[
    str | None, typer.Option(metavar="SECONDS", help="How long to sample. Default: 12")
]
_Output = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="File of the flame graph, relative to the project; a table is written beside it, as .txt. "
        "Default: var/profile.svg",
    ),
]


def bench(
    path: ProjectPath = ".",
    quick: _Quick = False,
    seconds: _SecondsOfRound = None,
    rounds: _Rounds = None,
    resource: MeasuredResource = None,
    endpoints: _Endpoints = None,
    optimizations: _Optimizations = None,
    connections: _Connections = None,
    workers: _Workers = None,
    port: _Port = None,
    json: Json = False,
) -> int:
    """Measure the endpoints and optimizations of a project.

    The service runs as in production, on a test database. Endpoints are compared with the targets in
    benchmarks/targets.toml of the project, and optimizations are measured on and off. That takes some
    minutes, fewer with --quick.

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
    switches = [flag for flag, is_on in (("--quick", quick), ("--json", json)) if is_on]
    return bench_project(path, [*_given(values), *switches])


def profile(
    path: ProjectPath = ".",
    seconds: _SecondsOfSampling = None,
    output: _Output = None,
    resource: MeasuredResource = None,
) -> int:
    """Draw a flame graph of a project under load.

    Prints the functions that take most of the time. py-spy samples the service from outside, so that it runs
    as in production.
    """
    from fastforge.inspect.bench import profile_project

    return profile_project(path, _given({"--seconds": seconds, "--output": output, "--resource": resource}))


def _given(values: Mapping[str, str | None]) -> list[str]:
    return [f"{flag}={value}" for flag, value in values.items() if value is not None]
