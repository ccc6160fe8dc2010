"""CPU time to the first answer and memory of an idle worker, against plain FastAPI on the same driver.

PostgreSQL on both sides, everything else of a service as generated. Starts are interleaved.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from statistics import median

from benchmarks.contenders import Running, database_urls, running
from benchmarks.goals import POSTGRES, TUTORIAL
from benchmarks.load import ITEMS
from benchmarks.session import Session
from benchmarks.verdicts import Bound, Row, row_of

KIBIBYTES_PER_MIB = 1024


def memory_mib(server: Running) -> float:
    """Return the resident memory."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / KIBIBYTES_PER_MIB


FIRST_ANSWER = "CPU to the first answer, of plain FastAPI + asyncpg"
# By the rows' titles: the goal, what is measured, and its name in the details.
FIGURES: Mapping[str, tuple[Bound, Callable[[Running], float], str]] = {
    FIRST_ANSWER: (Bound(1.15), Running.cpu_seconds, "cpu_seconds"),
    "memory of an idle worker, of plain FastAPI + asyncpg": (Bound(1.2), memory_mib, "mib"),
}


def rows(session: Session) -> Iterator[Row]:
    """Yield a row per figure."""
    if not session.wants(*FIGURES):
        return
    shown = _measured(session)
    for title, (bound, _, name) in FIGURES.items():
        own, plain = shown[title]
        details = {name: round(median(own), 2), f"limit_{name}": round(median(plain), 2)}
        ratios = [one / other for one, other in zip(own, plain, strict=True)]
        yield row_of(title, bound, ratios, details=details)


def _measured(session: Session) -> dict[str, tuple[list[float], list[float]]]:
    shown: dict[str, tuple[list[float], list[float]]] = {title: ([], []) for title in FIGURES}
    urls = database_urls(session.servers, session.folder, {"postgres"})
    for number in range(-1, session.rounds):
        for side, contender in enumerate((POSTGRES, TUTORIAL)):
            with running(contender, urls, session.folder, session.core) as server:
                assert server.ask("GET", f"{ITEMS}?limit=1")[0] == 200
                for title, (_, measure, _) in FIGURES.items():
                    # The first start compiles.
                    shown[title][side].extend([measure(server)] if number >= 0 else [])
        session.progress(f"starts: round {number + 1} of {session.rounds}")
    return shown
