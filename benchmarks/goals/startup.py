"""CPU time until the first response, and memory of an idle worker, compared with plain FastAPI.

Both use PostgreSQL and the same driver; the service is as generated. Starts are interleaved.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from statistics import median

from fastforge_kit.service import Service
from fastforge_kit.verdicts import AtMost

from benchmarks.goals.catalogue import POSTGRES, TUTORIAL
from benchmarks.goals.cpu_per_request import ITEMS
from benchmarks.goals.rows import Row, row_of
from benchmarks.goals.session import Session
from benchmarks.load.servers import database_urls, running

KIBIBYTES_PER_MIB = 1024


def memory_mib(server: Service) -> float:
    """Return the resident memory."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / KIBIBYTES_PER_MIB


def _cpu_seconds(server: Service) -> float:
    return server.cpu_seconds() or 0.0


PLAIN = "plain FastAPI with asyncpg"
FIRST_RESPONSE = "CPU time until the first response"
# By the titles of the rows: the goal, the measured figure, and its name in the details.
FIGURES: Mapping[str, tuple[AtMost, Callable[[Service], float], str]] = {
    FIRST_RESPONSE: (AtMost(1.15), _cpu_seconds, "cpu_seconds"),
    "Memory of an idle worker": (AtMost(1.2), memory_mib, "mib"),
}


def rows(session: Session) -> Iterator[Row]:
    """Yield a row for each figure."""
    if not session.wants(*FIGURES):
        return
    shown = _measured(session)
    for title, (bound, _, name) in FIGURES.items():
        own, plain = shown[title]
        details = {name: round(median(own), 2), f"limit_{name}": round(median(plain), 2)}
        ratios = [one / other for one, other in zip(own, plain, strict=True)]
        yield row_of(title, PLAIN, bound, ratios, details=details)


def _measured(session: Session) -> dict[str, tuple[list[float], list[float]]]:
    shown: dict[str, tuple[list[float], list[float]]] = {title: ([], []) for title in FIGURES}
    urls = database_urls(session.servers, session.folder, {"postgres"})
    for number in range(-1, session.rounds):
        for side, contender in enumerate((POSTGRES, TUTORIAL)):
            with running(contender, urls, session.folder, session.core) as server:
                assert server.request("GET", f"{ITEMS}?limit=1").status == 200
                for title, (_, measure, _) in FIGURES.items():
                    # The first start compiles.
                    shown[title][side].extend([measure(server)] if number >= 0 else [])
        session.progress(f"starts: round {number + 1} of {session.rounds}")
    return shown
