"""Numbers that the parts of a worker report: its connections, its cache, its dependencies.

The parts count in plain attributes, at no measurable cost per request; `recorder.py` copies them to Prometheus. Nothing
is imported here, because prometheus_client must not be imported before the directory of its files is known.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Literal, NamedTuple


class Reading(NamedTuple):
    """A number of one part at one moment. If its name ends with `_total`, it only grows, and starts at 0."""

    name: str
    description: str
    value: float
    labels: Mapping[str, str] = {}
    # How the gauges of all workers that are alive become one.
    over_workers: Literal["livesum", "livemin", "livemax"] = "livesum"


Part = Callable[[], Iterable[Reading]]
