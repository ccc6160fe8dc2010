"""Copies the readings of a worker's parts to Prometheus, once a second.

A worker that is killed loses the counts of its last second.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from platform import python_implementation, python_version

from prometheus_client import Counter, Gauge

from app.forge.about import NAME, VERSION
from app.forge.observability.readings import Part, Reading

INTERVAL_SECONDS = 1.0

# prometheus_client allows each name only once in a process.
_metrics: dict[str, Counter | Gauge] = {}


@asynccontextmanager
async def recorded(parts: Iterable[Part]) -> AsyncIterator[None]:
    """Record the readings of these parts, once a second and at the end."""
    recorder = _Recorder([target_info, *parts])
    recorder.record()
    recording = asyncio.create_task(recorder.run())
    try:
        yield
    finally:
        recording.cancel()
        await asyncio.gather(recording, return_exceptions=True)
        recorder.record()


def target_info() -> Iterable[Reading]:
    """Yield what this process runs: https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/."""
    labels = {
        "service_name": NAME,
        "service_version": VERSION,
        "process_runtime_name": python_implementation(),
        "process_runtime_version": python_version(),
    }
    yield Reading("target_info", "The service and its runtime.", 1, labels, "livemax")


class _Recorder:
    def __init__(self, parts: list[Part]) -> None:
        self._parts = parts
        # What has been recorded of each counter.
        self._recorded: dict[tuple[str, tuple[str, ...]], float] = {}

    async def run(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL_SECONDS)
            self.record()

    def record(self) -> None:
        for part in self._parts:
            for reading in part():
                self._record(reading)

    def _record(self, reading: Reading) -> None:
        values = tuple(reading.labels.values())
        metric = _metrics.get(reading.name) or _new_metric(reading)
        series = metric.labels(*values) if values else metric
        if isinstance(series, Gauge):
            series.set(reading.value)
        else:
            key = reading.name, values
            # Less than before if another service in this process, as in tests, has reset it.
            series.inc(max(0, reading.value - self._recorded.get(key, 0)))
            self._recorded[key] = reading.value


def _new_metric(reading: Reading) -> Counter | Gauge:
    names = tuple(reading.labels)
    metric: Counter | Gauge
    if reading.name.endswith("_total"):
        metric = Counter(reading.name, reading.description, names)
    else:
        metric = Gauge(reading.name, reading.description, names, multiprocess_mode=reading.over_workers)
    _metrics[reading.name] = metric
    return metric
