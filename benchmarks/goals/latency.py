"""Latency under open-loop load at half of the service's peak throughput.

Bare servers get the same load in turn. The machine alone delays one that returns constant bytes; the machine
and the database delay one that queries the same database.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import chain
from statistics import median, quantiles

from fastforge_kit.generators import run_generators
from fastforge_kit.service import HOST, Service
from fastforge_kit.verdicts import MISSED, AtMost
from fastforge_kit.workloads import READ

from benchmarks.goals.catalogue import BARE_CONSTANT, BARE_POSTGRES, POSTGRES
from benchmarks.goals.cpu_per_request import filled
from benchmarks.goals.rows import GENERATOR_BUSY_LIMIT, Row, inconclusive, row_of
from benchmarks.goals.session import Session
from benchmarks.load.closed_loop import Requests, sample
from benchmarks.load.open_loop import Job, Outcome
from benchmarks.load.servers import database_urls, running

TAIL = "p99 ÷ p50 latency at 50% of peak throughput"
SLOWEST = "Slowest request at 50% of peak throughput"
TAIL_BOUND = AtMost(5.0)
SLOWEST_BOUND = AtMost(250.0)
PEAK_ROUNDS = 3
WINDOWS = 6
CONNECTIONS = 64
CONTROLS = {"constant": BARE_CONSTANT, "asyncpg": BARE_POSTGRES}
CONTROL_IS_LATE = (
    "bare servers under the same load, in turn, were delayed by more than the goal allows: "
    "p99 and slowest were {constant_p99_ms:g} and {constant_slowest_ms:g} ms with constant bytes, "
    "{asyncpg_p99_ms:g} and {asyncpg_slowest_ms:g} ms with asyncpg"
)


def rows(session: Session) -> Iterator[Row]:
    """Yield the rows of the tail and of the slowest request, for reads from PostgreSQL."""
    if not session.wants(TAIL, SLOWEST):
        return
    urls = database_urls(session.servers, session.folder, {"postgres"})
    with ExitStack() as stack:
        server, *bare = (
            stack.enter_context(running(each, urls, session.folder, session.core))
            for each in (POSTGRES, *CONTROLS.values())
        )
        reads = filled(server)[READ]
        session.progress("latency: finding the peak throughput")
        rounds = [sample(server, reads, session.seconds, session.connections) for _ in range(PEAK_ROUNDS + 1)]
        # The first round warms up.
        peak = median(each.per_second for each in rounds[1:])
        session.progress(f"latency: {peak / 2:.0f} requests/s for {session.latency_seconds:g} s")
        outcome, *controls = _in_turn([server, *bare], reads, peak / 2, session.latency_seconds)
    busy = max(outcome.busy, *(each.generator_busy for each in rounds[1:]))
    controls_ms = {name: each.latencies_ms for name, each in zip(CONTROLS, controls, strict=True)}
    yield from rows_of(outcome, controls_ms, peak, busy)


def _in_turn(servers: Sequence[Service], reads: Requests, per_second: float, seconds: float) -> list[Outcome]:
    """Return the outcomes of the load on the first server, and for half as long on each of the others."""
    outcomes: list[list[Outcome]] = [[] for _ in servers]
    for _ in range(WINDOWS):
        for server, shown in zip(servers, outcomes, strict=True):
            length = seconds / WINDOWS if server is servers[0] else seconds / WINDOWS / 2
            shown.append(_open_loop(server, reads, per_second, length))
    return list(map(_together, outcomes))


def _together(outcomes: Sequence[Outcome]) -> Outcome:
    return Outcome(
        latencies_ms=list(chain(*(each.latencies_ms for each in outcomes))),
        busy=max(each.busy for each in outcomes),
        late_ms=list(chain(*(each.late_ms for each in outcomes))),
    )


def rows_of(
    outcome: Outcome, controls_ms: Mapping[str, Sequence[float]], peak: float, busy: float
) -> Iterator[Row]:
    """Yield the rows of an outcome of the load, given the latencies of bare servers at the same rate."""
    latencies = outcome.latencies_ms
    details = {
        "peak_per_second": round(peak),
        "p50_ms": round(median(latencies), 2),
        "p99_ms": round(_p99(latencies), 2),
        **{f"{name}_p50_ms": round(median(each), 2) for name, each in controls_ms.items()},
        **{f"{name}_p99_ms": round(_p99(each), 2) for name, each in controls_ms.items()},
        **{f"{name}_slowest_ms": round(max(each), 1) for name, each in controls_ms.items()},
        "generator_busy": round(busy, 2),
        "generator_late_ms": round(max(outcome.late_ms), 1),
    }
    rows = [
        _tail_row(latencies, details),
        row_of(SLOWEST, "", SLOWEST_BOUND, [max(latencies)], "ms", details),
    ]
    if busy > GENERATOR_BUSY_LIMIT:
        yield from [
            inconclusive(row, f"the load generator was busy for {busy:.0%} of the time") for row in rows
        ]
        return
    # Without the delays of the generator.
    own = [latency - late for latency, late in zip(latencies, outcome.late_ms, strict=True)]
    # Relative to the service's median: a delay that all servers have is a larger share of a smaller one.
    of_controls = (
        max(map(_p99, controls_ms.values())) / median(latencies),
        max(map(max, controls_ms.values())),
    )
    of_service = (_p99(own) / median(own), max(own))
    for row, without_lateness, control in zip(rows, of_service, of_controls, strict=True):
        assert row.bound is not None
        if row.verdict == MISSED and row.bound.is_kept(without_lateness):
            late_ms = details["generator_late_ms"]
            yield inconclusive(row, f"the machine delayed the load generator itself, by up to {late_ms:g} ms")
        elif row.verdict == MISSED and not row.bound.is_kept(control):
            yield inconclusive(row, CONTROL_IS_LATE.format(**details))
        else:
            yield row


def _tail_row(latencies: Sequence[float], details: dict[str, float]) -> Row:
    """Return the row of the whole time; the differences between its parts are its noise."""
    size = max(2, len(latencies) // WINDOWS)
    parts = [latencies[start : start + size] for start in range(0, len(latencies) - size + 1, size)]
    shown = [_p99(part) / median(part) for part in parts]
    whole = _p99(latencies) / median(latencies)
    low, _, high = quantiles(shown, n=4) if len(shown) > 1 else shown * 3
    verdict = TAIL_BOUND.verdict(min(low, whole), max(high, whole))
    figures = [round(each, 3) for each in (whole, low, high)]
    return Row(TAIL, "", TAIL_BOUND, figures[0], figures[1], figures[2], verdict, "", details)


def _p99(latencies: Sequence[float]) -> float:
    return quantiles(latencies, n=100, method="inclusive")[98]


def _open_loop(server: Service, reads: Requests, per_second: float, seconds: float) -> Outcome:
    job = Job(HOST, server.port, reads.decoded, reads.status, CONNECTIONS, per_second, seconds)
    (outcome,) = run_generators("benchmarks.load.open_loop", [job])
    if outcome["errors"]:
        raise SystemExit(f"{outcome['errors']} requests of the open-loop load failed.")
    return Outcome(**outcome)
