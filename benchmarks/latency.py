"""Latency under open-loop load at half of what the service can answer at most."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from statistics import median, quantiles
from typing import Any

from benchmarks.contenders import HOST, Running, database_urls, running
from benchmarks.goals import POSTGRES
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


def rows(session: Session) -> Iterator[Row]:
    """Yield the tail and the slowest request of reads on PostgreSQL."""
    if not session.wants(TAIL, SLOWEST):
        return
    urls = database_urls(session.servers, session.folder, {"postgres"})
    with running(POSTGRES, urls, session.folder, session.core) as server:
        reads = filled(server)["read"]
        session.progress("latency: looking for the saturation rate")
        rounds = [
            sample(server, reads, session.seconds, session.connections) for _ in range(SATURATION_ROUNDS + 1)
        ]
        # The first round warms up.
        saturation = median(each.per_second for each in rounds[1:])
        session.progress(f"latency: {saturation / 2:.0f} requests/s for {session.latency_seconds:g} s")
        outcome = _open_loop(server, reads, saturation / 2, session.latency_seconds)
    busy = max(outcome["busy"], *(each.generator_busy for each in rounds[1:]))
    yield from rows_of(outcome, saturation, busy)


def rows_of(outcome: dict[str, Any], saturation: float, busy: float) -> Iterator[Row]:
    """Yield what the outcome of the load says."""
    latencies = outcome["latencies_ms"]
    details = {
        "saturation_per_second": round(saturation),
        "p50_ms": round(median(latencies), 2),
        "p99_ms": round(_p99(latencies), 2),
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
    for row, without_lateness in zip(found, (_p99(own) / median(own), max(own)), strict=True):
        assert row.bound is not None
        if row.verdict == "missed" and without_lateness <= row.bound.value:
            late_ms = details["generator_late_ms"]
            yield undecided(row, f"the machine held the load generator itself up, by {late_ms:g} ms at worst")
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
