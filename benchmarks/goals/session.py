"""The settings and servers that all goals of a run share."""

import sys
from dataclasses import dataclass
from pathlib import Path

from testkit.servers import Servers


@dataclass(frozen=True)
class Session:
    """The database servers, a folder for files of the run, and how long to measure."""

    servers: Servers
    folder: Path
    only: str
    rounds: int
    seconds: float
    connections: int
    latency_seconds: float
    export_rows: int
    # The core of the server under measurement, where nothing else runs; None if there is only one.
    core: int | None = None
    # A checkout of fastapi/full-stack-fastapi-template, if it should be measured.
    full_stack: Path | None = None

    def wants(self, *titles: str) -> bool:
        """Return whether one of these rows should be measured."""
        return any(self.only in title for title in titles)

    def progress(self, text: str) -> None:
        """Show the progress to a person."""
        print(text, file=sys.stderr, flush=True)
