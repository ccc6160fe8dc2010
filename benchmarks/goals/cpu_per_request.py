"""CPU per request of services and of their baselines, in interleaved rounds.

A disturbance of the machine affects all servers alike. CPU time is that of the server processes, as the
kernel counts it.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from statistics import median

from fastforge_kit.openapi import chosen_resource, resources_of
from fastforge_kit.service import Service
from fastforge_kit.workloads import CREATE, LIST, READ, RESOURCE_WORKLOADS, REVALIDATE, Stock, request

from benchmarks.goals.catalogue import (
    BATCH,
    BATCH_ROWS,
    CONTENDERS,
    GOALS,
    LIST_BY_TEXT,
    LIST_BY_TYPED,
    READS_BEHIND,
    Goal,
    Probe,
)
from benchmarks.goals.rows import GENERATOR_BUSY_LIMIT, Row, inconclusive, row_of
from benchmarks.goals.session import Session
from benchmarks.load.closed_loop import Requests, Sample, sample
from benchmarks.load.servers import Contender, database_urls, running

Samples = dict[Probe, list[Sample]]
RESOURCE = "items"
ITEMS = f"/api/v1/{RESOURCE}"
WORKLOADS = {each.name: each for each in RESOURCE_WORKLOADS if each.name in {READ, REVALIDATE, LIST, CREATE}}


def rows(session: Session) -> Iterator[Row]:
    """Yield a row for each goal; after Ctrl-C, of the rounds that were complete."""
    goals = [goal for goal in GOALS if session.wants(goal.title)]
    samples: Samples = {probe: [] for goal in goals for probe in (goal.baseline, goal.measured)}
    try:
        _measure(samples, session)
    finally:
        rounds = min((len(each) for each in samples.values()), default=0)
        if rounds:
            yield from [_row(goal, samples, rounds) for goal in goals]


def _measure(samples: Samples, session: Session) -> None:
    if not samples:
        return
    with ExitStack() as stack:
        contenders = running_contenders(list(samples), session, stack)
        requests = requests_of(contenders)
        for number in range(-1, session.rounds):
            for probe, shown in samples.items():
                asked = requests[probe.contender.database, probe.workload]
                one = sample(contenders[probe.contender], asked, session.seconds, session.connections)
                # The first round warms up.
                shown += [one] if number >= 0 else []
            session.progress(f"CPU per request: round {number + 1} of {session.rounds}")


def running_contenders(
    probes: Sequence[Probe], session: Session, stack: ExitStack
) -> dict[Contender, Service]:
    """Return the servers of these probes and the services that create their tables; the stack ends them."""
    asked = {probe.contender for probe in probes}
    databases = {contender.database for contender in asked}
    redis = {"redis"} & {word for each in asked for word in (each.baseline, dict(each.answers).get("cache"))}
    urls = database_urls(session.servers, session.folder, databases | redis)
    # A rendered service creates the table and the items, so each database has one.
    makers = {each.database: each for each in reversed(CONTENDERS) if not each.baseline}
    asked |= {makers[database] for database in databases & set(makers)}
    wanted = [each for each in CONTENDERS if each in asked]
    return {each: stack.enter_context(running(each, urls, session.folder, session.core)) for each in wanted}


def requests_of(contenders: Mapping[Contender, Service]) -> dict[tuple[str, str], Requests]:
    """Return the requests for the servers of each database and each workload, after filling it with items."""
    anything = Requests([request("GET", f"{ITEMS}/01890a5d-ac96-774b-bcce-b302099a8057")])
    requests = {("none", READ): anything}
    for contender, server in contenders.items():
        if not contender.baseline and (contender.database, READ) not in requests:
            requests |= {(contender.database, name): sent for name, sent in filled(server).items()}
    return requests


def filled(service: Service) -> dict[str, Requests]:
    """Return the requests for a service, by workload, after filling it with items."""
    resources = resources_of(service)
    resource = chosen_resource(resources, RESOURCE)
    assert resource is not None
    stock = Stock(service, resources, resource, deletions=0)
    requests = {
        name: Requests(workload.requests(stock), workload.status) for name, workload in WORKLOADS.items()
    }
    batch = request("POST", f"{ITEMS}/batch", stock.batch(BATCH_ROWS))
    return {**requests, BATCH: Requests([batch], 201), **_behind_dependencies(stock)}


def _behind_dependencies(stock: Stock) -> dict[str, Requests]:
    """Return the requests for the routes of benchmarks.baselines.dependencies."""
    fields = {"X-Token": "secret", "Authorization": "Bearer token", "Cookie": "session=abc"}
    reads = {
        name: Requests([request("GET", prefix + path, headers=fields) for path in stock.read])
        for prefix, name in READS_BEHIND.items()
    }
    query = "colour=blue&order=down&day=2026-01-31"
    typed = request("GET", f"/typed?{query}", headers=fields)
    text = request("GET", f"/untyped?{query}&x_token=secret&session=abc", headers=fields)
    return {**reads, LIST_BY_TYPED: Requests([typed]), LIST_BY_TEXT: Requests([text])}


def _row(goal: Goal, samples: Samples, rounds: int) -> Row:
    measured, baseline = samples[goal.measured][:rounds], samples[goal.baseline][:rounds]
    # Per row, so that a batch can be compared with single writes.
    scale = goal.baseline.rows / goal.measured.rows
    ratios = [one.cpu_us / other.cpu_us * scale for one, other in zip(measured, baseline, strict=True)]
    busy = max(median(each.generator_busy for each in side) for side in (measured, baseline))
    details = {
        "cpu_us": round(median(each.cpu_us for each in measured), 1),
        "baseline_cpu_us": round(median(each.cpu_us for each in baseline), 1),
        "per_second": round(median(each.per_second for each in measured)),
        "generator_busy": round(busy, 2),
    }
    row = row_of(goal.title, goal.compared_with, goal.bound, ratios, details=details)
    if busy > GENERATOR_BUSY_LIMIT:
        return inconclusive(row, f"the load generator was busy for {busy:.0%} of the time")
    return row
