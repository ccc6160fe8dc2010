"""The CPU time by layer for each goal that is not met, for the service and its baseline.

The shares are those of samples (benchmarks.profiling.sampling); the sums were measured without a sampler.
"""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from fastforge_kit.service import Service
from fastforge_kit.verdicts import MET, AtLeast

from benchmarks.goals.catalogue import GOALS, Goal, Probe
from benchmarks.goals.cpu_per_request import requests_of, running_contenders
from benchmarks.goals.in_process import COMPRESSED, layer_command
from benchmarks.goals.rows import Row
from benchmarks.goals.session import Session
from benchmarks.goals.startup import FIRST_RESPONSE
from benchmarks.load.closed_loop import Requests
from benchmarks.load.rendering import REPOSITORY
from benchmarks.load.servers import Contender
from benchmarks.profiling import imports
from benchmarks.profiling.sampling import Samples, sampled, sampling
from benchmarks.profiling.stacks import LAYERS, Frame, Stack, counted, function_of, layer_of, scaled
from benchmarks.reporting.profiles import Costs, Profile

SECONDS = 3.5
COMPRESSION_ROUNDS = 100
FUNCTIONS_SHOWN = 25
TITLE = "profile of {}"


def profiles(session: Session, rows: Sequence[Row]) -> Iterator[Profile]:
    """Yield a profile for each selected row whose goal is not met."""
    wanted = {
        row.title: row
        for row in rows
        if row.bound and row.verdict != MET and session.wants(TITLE.format(row.title))
    }
    yield from _of_servers(session, wanted)
    if COMPRESSED in wanted:
        yield _of_compression(session, wanted[COMPRESSED])
    if FIRST_RESPONSE in wanted:
        yield _of_start(session, wanted[FIRST_RESPONSE])


def _of_servers(session: Session, rows: dict[str, Row]) -> Iterator[Profile]:
    goals = [goal for goal in GOALS if goal.title in rows]
    probes = list(dict.fromkeys(probe for goal in goals for probe in (goal.measured, goal.baseline)))
    if not probes:
        return
    with ExitStack() as stack:
        contenders = running_contenders(probes, session, stack)
        requests = requests_of(contenders)
        samples = {}
        for probe in probes:
            session.progress(f"profiles: {probe.workload} by {probe.contender.name}")
            samples[probe] = _sampled(probe, contenders, requests, session)
    for goal in goals:
        yield _of_goal(goal, rows[goal.title], samples)


def _sampled(
    probe: Probe,
    contenders: dict[Contender, Service],
    requests: dict[tuple[str, str], Requests],
    session: Session,
) -> Samples:
    asked = requests[probe.contender.database, probe.workload]
    return sampled(contenders[probe.contender], asked, SECONDS, session.core)


def _of_goal(goal: Goal, row: Row, samples: dict[Probe, Samples]) -> Profile:
    cpu_us = row.details["cpu_us"] / goal.measured.rows
    baseline_us = row.details["baseline_cpu_us"] / goal.baseline.rows
    measured, baseline = samples[goal.measured], samples[goal.baseline]
    return Profile(
        goal.title,
        _costs(measured, cpu_us),
        _costs(baseline, baseline_us),
        # For a batch, it is the baseline that should take less.
        is_baseline_explained=isinstance(goal.bound, AtLeast),
    )


def _costs(samples: Samples, cpu_us: float) -> Costs:
    by_layer = scaled(counted(samples.stacks, layer_of), cpu_us)
    by_function = scaled(counted(samples.stacks, function_of), cpu_us)
    most = sorted(by_function.items(), key=lambda each: -each[1])[:FUNCTIONS_SHOWN]
    return Costs(
        {name: round(by_layer[name], 2) for name in LAYERS if name in by_layer},
        {name: round(figure, 2) for name, figure in most},
        samples.count,
        round(samples.kernel_share, 3),
    )


def _of_compression(session: Session, row: Row) -> Profile:
    session.progress("profiles: compression")
    command, environment = layer_command("compression", COMPRESSION_ROUNDS, session)
    command += ["layer", "bare"]
    with subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            with sampling(process.pid, session.core) as both:
                _wait(process)
        finally:
            process.kill()
    layer = Samples([stack for stack in both.stacks if _calls(stack, "_layer_us")])
    bare = Samples(
        [each for each in both.stacks if _calls(each, "_bare_us") and not _calls(each, "<lambda>")]
    )
    details = row.details
    return Profile(row.title, _costs(layer, details["cpu_us"]), _costs(bare, details["baseline_cpu_us"]))


def _wait(process: "subprocess.Popen[bytes]") -> None:
    try:
        process.wait(2 * SECONDS)
    except subprocess.TimeoutExpired:
        # It was sampled long enough.
        return


def _calls(stack: Stack, function: str) -> bool:
    return any(_is_of_layers(frame) and frame.function == function for frame in stack.frames)


def _is_of_layers(frame: Frame) -> bool:
    return "goals/layers/" in frame.file


def _of_start(session: Session, row: Row) -> Profile:
    session.progress("profiles: imports")
    own, plain = (
        Costs({name: round(figure, 2) for name, figure in each.items()}) for each in imports.measured(session)
    )
    return Profile(row.title, own, plain, unit="ms")
