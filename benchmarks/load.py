"""Server CPU per request, under the load generator of `fastforge bench`."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from benchmarks.contenders import HOST, Running
from benchmarks.rendering import REPOSITORY

# Digits in a body that are another number in every request; see kit/fastforge_kit/generator.py.
COUNTER = "000000000000"
JOB_NUMBERS = count(0, 50_000)
ITEMS = "/api/v1/items"


@dataclass(frozen=True)
class Sample:
    """What one round showed."""

    cpu_us: float
    per_second: float
    # The share of the time in which the load generator was busy itself.
    generator_busy: float = 0.0


@dataclass(frozen=True)
class Requests:
    """Requests that are sent in turn, and the status of every answer."""

    texts: Sequence[str]
    status: int = 200


def sample(server: Running, requests: Requests, seconds: float, connections: int) -> Sample:
    """Return what a round of so many seconds shows. Raises `SystemExit` where an answer is an error."""
    job = {
        "host": HOST,
        "port": server.port,
        "requests": requests.texts,
        "status": requests.status,
        "connections": connections,
        "seconds": seconds,
        "first": next(JOB_NUMBERS),
    }
    before = server.cpu_seconds()
    outcome = _generated(job)
    cpu = server.cpu_seconds() - before
    answers = len(outcome["latencies_ms"])
    if outcome["errors"]:
        raise SystemExit(f"{outcome['errors']} of {answers} answers are errors: {requests.texts[0][:80]!r}")
    return Sample(1_000_000 * cpu / answers, answers / outcome["seconds"], outcome["busy"])


def _generated(job: dict[str, object]) -> Any:  # noqa: ANN401
    with tempfile.TemporaryFile() as question:
        question.write(json.dumps(job).encode())
        question.seek(0)
        command = [sys.executable, "-m", "fastforge_kit.generator"]
        done = subprocess.run(
            command, cwd=REPOSITORY / "kit", stdin=question, capture_output=True, check=True
        )
    return json.loads(done.stdout)


def request(method: str, path: str, body: str = "", **headers: str) -> str:
    """Return the text of an HTTP request."""
    fields = {"Host": HOST, **{name.replace("_", "-"): value for name, value in headers.items()}}
    if body:
        fields |= {"Content-Type": "application/json", "Content-Length": str(len(body.encode()))}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", body])


def draft(name: str) -> dict[str, object]:
    """Return a new item of the usual size."""
    return {
        "name": name,
        "description": "A sturdy thing of the usual size, delivered within a week.",
        "price_cents": 12_900,
        "tags": ["garden", "steel"],
    }
