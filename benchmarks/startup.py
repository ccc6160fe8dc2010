"""`python -m benchmarks.startup`: CPU time to the first answer and memory of a worker, against plain FastAPI.

PostgreSQL on both sides, everything else of a service as generated. Starts are interleaved.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median, quantiles

from benchmarks.contenders import Running, database_urls, running
from benchmarks.goals import POSTGRES, TUTORIAL
from benchmarks.load import ITEMS
from benchmarks.verdicts import verdict
from tests.servers import running_servers
from tests.servers.running import KINDS

MEBIBYTE = 1024


def memory_mib(server: Running) -> float:
    """Return the resident memory."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / MEBIBYTE


FIGURES: Mapping[str, tuple[float, Callable[[Running], float]]] = {
    "CPU seconds to the first answer": (1.15, Running.cpu_seconds),
    "MiB of an idle worker": (1.2, memory_mib),
}


def main() -> None:
    """Measure, and print a table, or one JSON document."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.startup", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="starts of each (5)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    results = [_result(name, shown) for name, shown in _measured(options.rounds).items()]
    if options.json:
        print(json.dumps(results, indent=2))
        return
    for row in [list(results[0]), ["---"] * len(results[0]), *(result.values() for result in results)]:
        print(f"| {' | '.join(map(str, row))} |")


def _measured(rounds: int) -> dict[str, dict[str, list[float]]]:
    shown: dict[str, dict[str, list[float]]] = {figure: {"own": [], "plain": []} for figure in FIGURES}
    with running_servers(set(KINDS) - {"nginx"}) as servers, tempfile.TemporaryDirectory() as folder:
        urls = database_urls(servers, Path(folder))
        for number in range(-1, rounds):
            for side, contender in (("own", POSTGRES), ("plain", TUTORIAL)):
                with running(contender, urls, Path(folder)) as server:
                    assert server.ask("GET", f"{ITEMS}?limit=1")[0] == 200
                    # The first start compiles.
                    for figure, (_, measure) in FIGURES.items():
                        shown[figure][side] += [measure(server)] if number >= 0 else []
    return shown


def _result(figure: str, shown: dict[str, list[float]]) -> dict[str, object]:
    bound, _ = FIGURES[figure]
    low, middle, high = quantiles(
        [own / plain for own, plain in zip(shown["own"], shown["plain"], strict=True)], n=4
    )
    return {
        "figure": figure,
        "goal": f"≤ {bound:g}",
        "of plain FastAPI": round(middle, 3),
        "middle half": f"{low:.3f} to {high:.3f}",
        "verdict": verdict(bound, low, high),
        "service": round(median(shown["own"]), 2),
        "plain": round(median(shown["plain"]), 2),
    }


if __name__ == "__main__":
    main()
