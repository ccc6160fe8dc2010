"""`python -m benchmarks`: the goals of FastForge's services, each with its measured ratio and verdict.

Rounds are interleaved, so that what disturbs the machine for a while hits all servers alike; CPU time is the
servers' own account. A ratio whose middle half lies on both sides of its bound is undecided.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from uuid import uuid4

from benchmarks.contenders import Contender, Running, database_urls, running
from benchmarks.goals import BATCH_ROWS, CONTENDERS, GOALS, Goal, Probe
from benchmarks.load import COUNTER, ITEMS, Requests, Sample, draft, request, sample
from benchmarks.verdicts import verdict
from tests.servers import running_servers
from tests.servers.running import KINDS, describe

Samples = dict[Probe, list[Sample]]
ITEMS_READ = 100


def main() -> None:
    """Measure, print a table, and write the results where asked."""
    options = _parser().parse_args()
    goals = [goal for goal in GOALS if options.only in goal.title]
    samples, servers = _measured(goals, options)
    results = [_result(goal, samples) for goal in goals]
    table = _table(results)
    print(table)
    if options.results:
        document = {
            "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": f"{platform.system()}, {os.cpu_count()} CPUs, Python {platform.python_version()}",
            "servers": servers.splitlines(),
            "goals": results,
        }
        options.results.mkdir(parents=True, exist_ok=True)
        (options.results / "goals.json").write_text(json.dumps(document, indent=2) + "\n")
        (options.results / "goals.md").write_text(
            f"{document['machine']}, {document['measured_at']}\n\n{table}\n"
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", default="", help="goals whose title has this text (all)")
    parser.add_argument("--rounds", type=int, default=7, help="rounds of every workload (7)")
    parser.add_argument("--seconds", type=float, default=0.7, help="length of a round (0.7)")
    parser.add_argument("--connections", type=int, default=16, help="requests at once (16)")
    parser.add_argument("--results", type=Path, help="folder for goals.json and goals.md")
    return parser


def _measured(goals: Sequence[Goal], options: argparse.Namespace) -> tuple[Samples, str]:
    probes = list(dict.fromkeys(probe for goal in goals for probe in (goal.limit, goal.measured)))
    samples: Samples = {probe: [] for probe in probes}
    with ExitStack() as stack:
        servers = stack.enter_context(running_servers(set(KINDS) - {"nginx"}))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        urls = database_urls(servers, folder)
        wanted = _wanted(probes)
        contenders = {each: stack.enter_context(running(each, urls, folder)) for each in wanted}
        requests = _requests(contenders)
        for number in range(-1, options.rounds):
            for probe in probes:
                asked = requests[probe.contender.database, probe.workload]
                shown = sample(contenders[probe.contender], asked, options.seconds, options.connections)
                # The first round warms up.
                if number >= 0:
                    samples[probe].append(shown)
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
        return samples, describe(servers)


def _wanted(probes: Sequence[Probe]) -> list[Contender]:
    asked = {probe.contender for probe in probes}
    databases = {contender.database for contender in asked}
    # A rendered service makes the table and the items, so one of each database is there.
    return [
        each for each in CONTENDERS if each in asked or (each.database in databases and not each.baseline)
    ]


def _requests(contenders: Mapping[Contender, Running]) -> dict[tuple[str, str], Requests]:
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


def _result(goal: Goal, samples: Samples) -> dict[str, Any]:
    measured, limit = samples[goal.measured], samples[goal.limit]
    # Per row, so that a batch can be compared with single writes.
    scale = goal.limit.rows / goal.measured.rows
    ratios = [one.cpu_us / other.cpu_us * scale for one, other in zip(measured, limit, strict=True)]
    low, middle, high = quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
    return {
        "title": goal.title,
        "bound": "" if goal.bound is None else f"{'≤' if goal.is_upper_bound else '≥'} {goal.bound:g}",
        "ratio": round(middle, 3),
        "middle_half": [round(low, 3), round(high, 3)],
        "verdict": _verdict(goal, low, high),
        "cpu_us": round(median(each.cpu_us for each in measured), 1),
        "limit_cpu_us": round(median(each.cpu_us for each in limit), 1),
        "per_second": round(median(each.per_second for each in measured)),
    }


def _verdict(goal: Goal, low: float, high: float) -> str:
    if goal.bound is None:
        return ""
    if goal.is_upper_bound:
        return verdict(goal.bound, low, high)
    return verdict(-goal.bound, -high, -low)


def _table(results: Sequence[Mapping[str, Any]]) -> str:
    head = ["workload", "goal", "measured", "middle half", "verdict", "CPU µs", "limit µs"]
    rows = [
        [
            result["title"],
            result["bound"],
            result["ratio"],
            "{} to {}".format(*result["middle_half"]),
            result["verdict"],
            result["cpu_us"],
            result["limit_cpu_us"],
        ]
        for result in results
    ]
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in [head, ["---"] * len(head), *rows])


if __name__ == "__main__":
    main()
