"""A place at which a test holds a transaction, in whatever thread it runs."""

import asyncio
import threading

PATIENCE_SECONDS = 10.0
LOOK_SECONDS = 0.002


class Gate:
    """Closed until it is opened; whoever comes to it waits."""

    def __init__(self) -> None:
        self._reached = threading.Event()
        self._opened = threading.Event()

    def open(self) -> None:
        """Let those that wait go on."""
        self._opened.set()

    async def is_reached(self) -> None:
        """Return when something waits, or raise `TimeoutError`."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not self._reached.is_set():
                await asyncio.sleep(LOOK_SECONDS)

    def pass_in_thread(self) -> None:
        """Wait in a thread."""
        self._reached.set()
        assert self._opened.wait(PATIENCE_SECONDS)

    async def pass_on_loop(self) -> None:
        """Wait on the event loop."""
        self._reached.set()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not self._opened.is_set():
                await asyncio.sleep(LOOK_SECONDS)
