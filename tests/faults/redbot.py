"""`python -m tests.faults.redbot URL ...` prints REDbot's notes (https://redbot.org) on each, as JSON."""

from __future__ import annotations

import json
import sys
from configparser import ConfigParser
from typing import Any

import thor
from redbot.resource import HttpResource

Note = dict[str, str]


def main(urls: list[str]) -> None:
    """Check all URLs concurrently, and print one document."""
    config = ConfigParser()
    # Otherwise it refuses addresses of this machine.
    config.read_dict({"redbot": {"enable_local_access": "True"}})
    waiting = set(urls)
    resources = {url: HttpResource(config["redbot"]) for url in urls}
    for url, resource in resources.items():
        resource.set_request(url)

        def done(url: str = url) -> None:
            waiting.discard(url)
            if not waiting:
                thor.stop()

        resource.on("check_done", done)
        resource.check()
    thor.run()
    print(json.dumps({url: _told(resource) for url, resource in resources.items()}))


def _told(resource: Any) -> dict[str, Any]:
    notes = [note for parent in resource.response.notes for note in (parent, *parent.subnotes)]
    return {"status": resource.response.status_code, "notes": list(map(_note, notes))}


def _note(note: Any) -> Note:
    return {"level": note.level.value, "name": type(note).__name__, "summary": str(note.summary)}


if __name__ == "__main__":
    main(sys.argv[1:])
