"""Latency under open-loop load at half of what the service can answer at most.

Bare servers get the same load in between. What delays one that answers constant bytes is the machine's; what
delays one that asks the same database is the machine's and the database's.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import chain
from statistics import median, quantiles
from typing import Any

from benchmarks.contenders import HOST, Running, database_urls, running
from benchmarks.goals import BARE_CONSTANT, BARE_POSTGRES, POSTGRES
from benchmarks.load import Requests, sample
from benchmarks.ratios import filled
from benchmarks.rendering import REPOSITORY
from benchmarks.session import Session
from benchmarks.verdicts import GENERATOR_BUSY_LIMIT, Bound, Row, row_of, undecided

TAIL = "p99 of p50 at half the saturation rate, open loop"
SLOWEST = "slowest request at half the saturation rate, open loop"
TAIL_BOUND = Bound(5.0)
SLOWEST_BOUND = Bound(250.0)
SATURATION_ROUNDS = 3
WINDOWS = 6
CONNECTIONS = 64
CONTROLS = {"constant": BARE_CONSTANT, "asyncpg": BARE_POSTGRES}
CONTROL_IS_LATE = (
    "bare servers, at the same rate and in between, were delayed by more than the goal allows: p99 and "
    "slowest were {constant_p99_ms:g} and {constant_slowest_ms:g} ms with constant bytes, "
    "{asyncpg_p99_ms:g} and {asyncpg_slowest_ms:g} ms with asyncpg"
)


def rows(session: Session) -> Iterator[Row]:
    """Yield the tail and the slowest request of reads on PostgreSQL."""
    if not session.wants(TAIL, SLOWEST):
        return
    urls = database_urls(session.servers, session.folder, {"postgres"})
    with ExitStack() as stack:
        server, *bare = (
            stack.enter_context(running(each, urls, session.folder, session.core))
            for each in (POSTGRES, *CONTROLS.values())
        )
        reads = filled(server)["read"]
        session.progress("latency: looking for the saturation rate")
        rounds = [
            sample(server, reads, session.seconds, session.connections) for _ in range(SATURATION_ROUNDS + 1)
        ]
        # The first round warms up.
        saturation = median(each.per_second for each in rounds[1:])
        session.progress(f"latency: {saturation / 2:.0f} requests/s for {session.latency_seconds:g} s")
        outcome, *controls = _in_turn([server, *bare], reads, saturation / 2, session.latency_seconds)
    busy = max(outcome["busy"], *(each.generator_busy for each in rounds[1:]))
    controls_ms = {name: each["latencies_ms"] for name, each in zip(CONTROLS, controls, strict=True)}
    yield from rows_of(outcome, controls_ms, saturation, busy)


def _in_turn(
    servers: Sequence[Running], reads: Requests, per_second: float, seconds: float
) -> list[dict[str, Any]]:
    """Return what the load on the first server shows, and half as much time of it on each of the others."""
    outcomes: list[list[dict[str, Any]]] = [[] for _ in servers]
    for _ in range(WINDOWS):
        for server, shown in zip(servers, outcomes, strict=True):
            length = seconds / WINDOWS if server is servers[0] else seconds / WINDOWS / 2
            shown.append(_open_loop(server, reads, per_second, length))
    return list(map(_together, outcomes))


def _together(outcomes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    listed = {name: list(chain(*(each[name] for each in outcomes))) for name in ("latencies_ms", "late_ms")}
    return {**listed, "busy": max(each["busy"] for each in outcomes)}


def rows_of(
    outcome: dict[str, Any], controls_ms: Mapping[str, Sequence[float]], saturation: float, busy: float
) -> Iterator[Row]:
    """Yield what the outcome of the load says, beside the latencies of bare servers at the same rate."""
    latencies = outcome["latencies_ms"]
    details = {
        "saturation_per_second": round(saturation),
        "p50_ms": round(median(latencies), 2),
        "p99_ms": round(_p99(latencies), 2),
        **{f"{name}_p50_ms": round(median(each), 2) for name, each in controls_ms.items()},
        **{f"{name}_p99_ms": round(_p99(each), 2) for name, each in controls_ms.items()},
        **{f"{name}_slowest_ms": round(max(each), 1) for name, each in controls_ms.items()},
        "generator_busy": round(busy, 2),
        "generator_late_ms": round(max(outcome["late_ms"]), 1),
    }
    found = [_tail_row(latencies, details), row_of(SLOWEST, SLOWEST_BOUND, [max(latencies)], "ms", details)]
    if busy > GENERATOR_BUSY_LIMIT:
        yield from [
            undecided(row, f"the load generator was busy for {busy:.0%} of the time") for row in found
        ]
        return
    # What the service alone is to blame for.
    own = [latency - late for latency, late in zip(latencies, outcome["late_ms"], strict=True)]
    # Measured by the service's median: a delay that all have is more of one that is smaller.
    of_controls = (
        max(map(_p99, controls_ms.values())) / median(latencies),
        max(map(max, controls_ms.values())),
    )
    for row, without_lateness, alone in zip(
        found, (_p99(own) / median(own), max(own)), of_controls, strict=True
    ):
        assert row.bound is not None
        if row.verdict == "missed" and without_lateness <= row.bound.value:
            late_ms = details["generator_late_ms"]
            yield undecided(row, f"the machine held the load generator itself up, by {late_ms:g} ms at worst")
        elif row.verdict == "missed" and alone > row.bound.value:
            yield undecided(row, CONTROL_IS_LATE.format(**details))
        else:
            yield row


def _tail_row(latencies: Sequence[float], details: dict[str, float]) -> Row:
    """Return the row of the whole time; how far its parts differ is its noise."""
    size = max(2, len(latencies) // WINDOWS)
    parts = [latencies[start : start + size] for start in range(0, len(latencies) - size + 1, size)]
    shown = [_p99(part) / median(part) for part in parts]
    whole = _p99(latencies) / median(latencies)
    low, _, high = quantiles(shown, n=4) if len(shown) > 1 else shown * 3
    said = TAIL_BOUND.verdict(min(low, whole), max(high, whole))
    return Row(TAIL, TAIL_BOUND, round(whole, 3), round(low, 3), round(high, 3), said, "", details)


def _p99(latencies: Sequence[float]) -> float:
    return quantiles(latencies, n=100, method="inclusive")[98]


def _open_loop(server: Running, reads: Requests, per_second: float, seconds: float) -> dict[str, Any]:
    job = {
        "host": HOST,
        "port": server.port,
        "requests": reads.texts,
        "status": reads.status,
        "connections": CONNECTIONS,
        "per_second": per_second,
        "seconds": seconds,
    }
    with tempfile.TemporaryFile() as question:
        question.write(json.dumps(job).encode())
        question.seek(0)
        command = [sys.executable, "-m", "benchmarks.open_loop"]
        done = subprocess.run(command, cwd=REPOSITORY, stdin=question, stdout=subprocess.PIPE, check=True)
    outcome: dict[str, Any] = json.loads(done.stdout)
    if outcome["errors"]:
        raise SystemExit(f"{outcome['errors']} requests of the open-loop load failed.")
    return outcome
