"""CPU time until the first response, and memory of an idle worker.

Compared with plain FastAPI: both use PostgreSQL and the same driver, and the service is as generated.
For each further resource: on SQLite, with one resource and with twenty. Starts are interleaved.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median

from fastforge_kit.service import Service
from fastforge_kit.verdicts import AtMost

from benchmarks.goals.catalogue import MANY, POSTGRES, TTL, TTL_OF, TUTORIAL
from benchmarks.goals.cpu_per_request import ITEMS
from benchmarks.goals.rows import Row, row_of
from benchmarks.goals.session import Session
from benchmarks.load.servers import Contender, database_urls, running

KIBIBYTES_PER_MIB = 1024
MB_PER_MIB = 1.048576


def memory_mib(server: Service) -> float:
    """Return the resident memory."""
    return _mib(server, "VmRSS:")


def peak_memory_mib(server: Service) -> float:
    """Return the largest resident memory so far."""
    return _mib(server, "VmHWM:")


def _mib(server: Service, name: str) -> float:
    status = Path(f"/proc/{server.pid}/status").read_text()
    return int(status.partition(name)[2].split()[0]) / KIBIBYTES_PER_MIB


def _cpu_ms(server: Service) -> float:
    return 1_000 * _cpu_seconds(server)


def _peak_mb(server: Service) -> float:
    return MB_PER_MIB * peak_memory_mib(server)


def _cpu_seconds(server: Service) -> float:
    return server.cpu_seconds() or 0.0


PLAIN = "plain FastAPI with asyncpg"
FIRST_RESPONSE = "CPU time until the first response"
# By the titles of the rows: the goal, the measured figure, and its name in the details.
FIGURES: Mapping[str, tuple[AtMost, Callable[[Service], float], str]] = {
    FIRST_RESPONSE: (AtMost(1.15), _cpu_seconds, "cpu_seconds"),
    "Memory of an idle worker": (AtMost(1.2), memory_mib, "mib"),
}

# By the titles of the rows: the goal, the measured figure, and its unit.
PER_RESOURCE: Mapping[str, tuple[AtMost, Callable[[Service], float], str]] = {
    "CPU time until the first response, for each further resource": (AtMost(10.0), _cpu_ms, "ms"),
    "Peak memory of a worker, for each further resource": (AtMost(1.0), _peak_mb, "MB"),
}
BY_RESOURCES: Mapping[int, Contender] = {1: TTL, **TTL_OF}


def rows(session: Session) -> Iterator[Row]:
    """Yield a row for each figure."""
    if session.wants(*FIGURES):
        measures = {title: measure for title, (_, measure, _) in FIGURES.items()}
        shown = _measured((POSTGRES, TUTORIAL), measures, session)
        for title, (bound, _, name) in FIGURES.items():
            own, plain = shown[title]
            details = {name: round(median(own), 2), f"baseline_{name}": round(median(plain), 2)}
            ratios = [one / other for one, other in zip(own, plain, strict=True)]
            yield row_of(title, PLAIN, bound, ratios, details=details)
    if session.wants(*PER_RESOURCE):
        measures = {title: measure for title, (_, measure, _) in PER_RESOURCE.items()}
        shown = _measured(tuple(BY_RESOURCES.values()), measures, session)
        for title, (bound, _, unit) in PER_RESOURCE.items():
            figures = dict(zip(BY_RESOURCES, shown[title], strict=True))
            details = {f"{unit}_with_{count}": round(median(each), 1) for count, each in figures.items()}
            each = [(many - one) / (MANY - 1) for one, many in zip(figures[1], figures[MANY], strict=True)]
            yield row_of(title, "", bound, each, unit, details)


def _measured(
    contenders: Sequence[Contender], measures: Mapping[str, Callable[[Service], float]], session: Session
) -> dict[str, list[list[float]]]:
    """Return the figures of each contender in each round, by title."""
    shown: dict[str, list[list[float]]] = {title: [[] for _ in contenders] for title in measures}
    urls = database_urls(session.servers, session.folder, {each.database for each in contenders})
    for number in range(-1, session.rounds):
        for side, contender in enumerate(contenders):
            with running(contender, urls, session.folder, session.core) as server:
                assert server.request("GET", f"{ITEMS}?limit=1").status == 200
                for title, measure in measures.items():
                    # The first start compiles.
                    shown[title][side].extend([measure(server)] if number >= 0 else [])
        session.progress(f"starts: round {number + 1} of {session.rounds}")
    return shown
