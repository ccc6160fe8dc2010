"""What one run of all benchmarks has in common."""

import sys
from dataclasses import dataclass
from pathlib import Path

from tests.servers import Servers


@dataclass(frozen=True)
class Session:
    """The servers that run, a folder for what is written meanwhile, and how long to measure."""

    servers: Servers
    folder: Path
    only: str
    rounds: int
    seconds: float
    connections: int
    latency_seconds: float
    export_rows: int
    # Where the server under measurement runs, away from all else; None where there is one core only.
    core: int | None = None
    # A checkout of fastapi/full-stack-fastapi-template, where that is to be measured.
    full_stack: Path | None = None

    def wants(self, *titles: str) -> bool:
        """Return whether one of these rows is to be measured."""
        return any(self.only in title for title in titles)

    def progress(self, text: str) -> None:
        """Tell a person how far it is."""
        print(text, file=sys.stderr, flush=True)
