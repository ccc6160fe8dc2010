"""Server CPU per request, under the load generator of `fastforge bench`."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from fastforge_kit.errors import CannotMeasure
from fastforge_kit.generator import Job
from fastforge_kit.generators import generate
from fastforge_kit.service import HOST, Service

JOB_NUMBERS = count(0, 50_000)


@dataclass(frozen=True)
class Sample:
    """The figures of one round."""

    cpu_us: float
    per_second: float
    # The share of the time in which the load generator itself was busy.
    generator_busy: float = 0.0


@dataclass(frozen=True)
class Requests:
    """Requests that are sent in turn, and the status of every response."""

    texts: Sequence[bytes]
    status: int = 200

    @property
    def decoded(self) -> list[str]:
        """The requests as text."""
        return [text.decode() for text in self.texts]


def sample(server: Service, requests: Requests, seconds: float, connections: int) -> Sample:
    """Return the figures of a round. Raises `CannotMeasure` if a response is an error."""
    first = next(JOB_NUMBERS)
    job = Job(HOST, server.port, requests.decoded, requests.status, connections, seconds, first)
    before = server.cpu_seconds() or 0.0
    (outcome,) = generate([job])
    cpu = (server.cpu_seconds() or 0.0) - before
    responses = len(outcome.latencies_ms)
    if outcome.errors:
        raise CannotMeasure(
            f"{outcome.errors} of {responses} responses are errors: {requests.texts[0][:80]!r}",
            "See the server's log.",
        )
    return Sample(1_000_000 * cpu / responses, responses / outcome.seconds, outcome.busy)
