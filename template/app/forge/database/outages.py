"""Log lines about outages of the dependencies: one at the start, one at the end, few in between.

Each worker counts separately. Successful requests do not run this code.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic

from app.forge.errors import ServiceError
from app.forge.observability.readings import Reading

logger = logging.getLogger(__name__)

Ping = Callable[[], Awaitable[None]]

# The least time between two lines about one outage.
REPEAT_SECONDS = 30.0
# A successful ping alone does not end an outage: on a full disk, reads succeed while writes fail.
QUIET_SECONDS = 5.0
PROBE_SECONDS = 1.0


@dataclass
class _Outage:
    began_at: float
    failed_at: float
    logged_at: float
    failures: int = 1
    unlogged: int = 0


_outages: dict[str, _Outage] = {}
_failures: Counter[str] = Counter()


def report(dependency: str, error: BaseException) -> None:
    """Log that the dependency failed, with the cause: the first time at once, then a count every 30 seconds."""
    now = monotonic()
    _failures[dependency] += 1
    outage = _outages.get(dependency)
    if outage is None:
        _outages[dependency] = _Outage(began_at=now, failed_at=now, logged_at=now)
        logger.error("Outage of the %s: %s", dependency, cause_of(error))
        return
    outage.failed_at = now
    outage.failures += 1
    outage.unlogged += 1
    seconds = now - outage.logged_at
    if seconds >= REPEAT_SECONDS:
        message = "Outage of the %s continues (failures in the last %.0f s: %d): %s"
        logger.error(message, dependency, seconds, outage.unlogged, cause_of(error))
        outage.logged_at, outage.unlogged = now, 0


async def report_if_down(dependency: str, ping: Ping) -> None:
    """Report the dependency if it does not respond: a service starts anyway, and responds with 503 until it does."""
    try:
        await ping()
    except Exception as error:
        report(dependency, error)


def recovered(dependency: str) -> None:
    """Log that the dependency is available again, unless it failed in the last few seconds or never did."""
    outage = _outages.get(dependency)
    if outage is None or monotonic() - outage.failed_at < QUIET_SECONDS:
        return
    del _outages[dependency]
    seconds = outage.failed_at - outage.began_at
    logger.info(
        "The %s is available again after %.1f s (failures: %d).", dependency, seconds, outage.failures
    )


def readings(dependencies: Iterable[str]) -> Iterable[Reading]:
    """Yield the state of each dependency, and how often it failed."""
    for name in dependencies:
        labels = {"dependency": name}
        is_up = name not in _outages
        yield Reading("dependency_up", "0 during an outage that any worker sees.", is_up, labels, "livemin")
        yield Reading("dependency_failures_total", "Failed uses of a dependency.", _failures[name], labels)


def cause_of(error: BaseException) -> str:
    """Return the error and its cause on one line, without a stack."""
    if not isinstance(error, ServiceError):
        return _described(error)
    if error.__cause__ is None:
        return error.detail
    return f"{error.detail} {_described(error.__cause__)}"


def _described(error: BaseException) -> str:
    # Timeouts have no text.
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


@asynccontextmanager
async def watched(pings: Mapping[str, Ping]) -> AsyncIterator[None]:
    """Detect the end of outages by pings, which are only sent during outages."""
    watching = asyncio.create_task(_watch(pings))
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        _outages.clear()
        _failures.clear()


async def _watch(pings: Mapping[str, Ping]) -> None:
    while True:
        await asyncio.sleep(PROBE_SECONDS)
        for dependency in _outages.keys() & pings.keys():
            await _probe(dependency, pings[dependency])


async def _probe(dependency: str, ping: Ping) -> None:
    outage = _outages[dependency]
    try:
        await ping()
    except Exception:
        # The outage lasts, but only the failures of others are counted.
        outage.failed_at = monotonic()
    else:
        recovered(dependency)
