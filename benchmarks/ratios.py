"""CPU per request of services and of their limits, in rounds that are interleaved.

What disturbs the machine for a while hits all servers alike. CPU time is the servers' own account.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from statistics import median
from uuid import uuid4

from benchmarks.contenders import Contender, Running, database_urls, running
from benchmarks.goals import BATCH_ROWS, CONTENDERS, GOALS, Goal, Probe
from benchmarks.load import COUNTER, ITEMS, Requests, Sample, draft, request, sample
from benchmarks.session import Session
from benchmarks.verdicts import GENERATOR_BUSY_LIMIT, Row, row_of, undecided

Samples = dict[Probe, list[Sample]]
ITEMS_READ = 100


def rows(session: Session) -> Iterator[Row]:
    """Yield a row per goal; after Ctrl-C those of the rounds that were complete."""
    goals = [goal for goal in GOALS if session.wants(goal.title)]
    samples: Samples = {probe: [] for goal in goals for probe in (goal.limit, goal.measured)}
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
) -> dict[Contender, Running]:
    """Return the servers of these probes, and services that make tables for them, until the stack closes."""
    asked = {probe.contender for probe in probes}
    databases = {contender.database for contender in asked}
    redis = {"redis"} & {word for each in asked for word in (each.baseline, dict(each.answers).get("cache"))}
    urls = database_urls(session.servers, session.folder, databases | redis)
    # A rendered service makes the table and the items, so one of each database is there.
    makers = {each.database: each for each in reversed(CONTENDERS) if not each.baseline}
    asked |= {makers[database] for database in databases & set(makers)}
    wanted = [each for each in CONTENDERS if each in asked]
    return {each: stack.enter_context(running(each, urls, session.folder, session.core)) for each in wanted}


def requests_of(contenders: Mapping[Contender, Running]) -> dict[tuple[str, str], Requests]:
    """Return what is asked of the servers of each database, after filling it with items."""
    requests = {("none", "read"): Requests([request("GET", f"{ITEMS}/01890a5d-ac96-774b-bcce-b302099a8057")])}
    for contender, server in contenders.items():
        if not contender.baseline and (contender.database, "read") not in requests:
            requests |= {(contender.database, name): asked for name, asked in filled(server).items()}
    return requests


def filled(server: Running) -> dict[str, Requests]:
    """Return what is asked of a service, by workload, after filling it with items."""
    prefix = uuid4().hex
    drafts = [draft(f"{prefix} seed {number}") for number in range(1_000)]
    status, _, body = server.ask("POST", f"{ITEMS}/batch", json.dumps(drafts).encode())
    assert status == 201, body
    page = json.loads(server.ask("GET", f"{ITEMS}?limit={ITEMS_READ}")[2])
    paths = [f"{ITEMS}/{item['id']}" for item in page["items"]]
    tags = [server.ask("GET", path)[1]["etag"] for path in paths]
    batch = json.dumps([draft(f"{prefix} batch {COUNTER} {number}") for number in range(BATCH_ROWS)])
    created = json.dumps(draft(f"{prefix} created {COUNTER}"))
    return {
        "read": Requests([request("GET", path) for path in paths]),
        "not modified": Requests(
            [request("GET", path, If_None_Match=tag) for path, tag in zip(paths, tags, strict=True)], 304
        ),
        "list": Requests([request("GET", f"{ITEMS}?limit=100")]),
        "create": Requests([request("POST", ITEMS, created)], 201),
        "batch": Requests([request("POST", f"{ITEMS}/batch", batch)], 201),
    }


def _row(goal: Goal, samples: Samples, rounds: int) -> Row:
    measured, limit = samples[goal.measured][:rounds], samples[goal.limit][:rounds]
    # Per row, so that a batch can be compared with single writes.
    scale = goal.limit.rows / goal.measured.rows
    ratios = [one.cpu_us / other.cpu_us * scale for one, other in zip(measured, limit, strict=True)]
    busy = max(median(each.generator_busy for each in side) for side in (measured, limit))
    details = {
        "cpu_us": round(median(each.cpu_us for each in measured), 1),
        "limit_cpu_us": round(median(each.cpu_us for each in limit), 1),
        "per_second": round(median(each.per_second for each in measured)),
        "generator_busy": round(busy, 2),
    }
    row = row_of(goal.title, goal.bound, ratios, details=details)
    if busy > GENERATOR_BUSY_LIMIT:
        return undecided(row, f"the load generator was busy for {busy:.0%} of the time")
    return row
