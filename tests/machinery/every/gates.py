"""A gate at which a test holds a transaction, in any thread."""

import asyncio
import threading

PATIENCE_SECONDS = 10.0


class Gate:
    """A gate that is closed until it is opened; work that reaches it waits."""

    def __init__(self) -> None:
        self._reached = threading.Event()
        self._opened = threading.Event()

    def open(self) -> None:
        """Let the waiting work continue."""
        self._opened.set()

    async def is_reached(self) -> None:
        """Return when something waits, or raise `TimeoutError`."""
        if not await asyncio.to_thread(self._reached.wait, PATIENCE_SECONDS):
            raise TimeoutError

    def pass_in_thread(self) -> None:
        """Wait in a thread."""
        self._reached.set()
        assert self._opened.wait(PATIENCE_SECONDS)

    async def pass_on_loop(self) -> None:
        """Wait on the event loop."""
        self._reached.set()
        assert await asyncio.to_thread(self._opened.wait, PATIENCE_SECONDS)
