"""Which layer of a server each of py-spy's samples fell into: collapsed stacks, read and counted.

A sample belongs to the innermost frame of a package that has a layer. What the standard library, the
interpreter and the C library do is charged to who called them.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

KERNEL = "kernel: reading, writing, waiting"
EVENT_LOOP = "event loop: uvloop, asyncio"
UVICORN = "Uvicorn and its HTTP parser"
FRAMEWORK = "FastAPI and Starlette"
MIDDLEWARE = "request id, timing, metrics, limit of bodies"
DIRECT_ROUTES = "direct routes"
OWN = "endpoint, service, store, cache; the bare callable"
DRIVER = "driver of the database"
PYDANTIC_AND_JSON = "Pydantic and JSON"
COMPRESSION = "compression"
ELSE = "all else"

# By a package, a module in C, a library, or a package of the service.
LAYERS: Mapping[str, tuple[str, ...]] = {
    KERNEL: (),
    EVENT_LOOP: ("uvloop", "libuv", "asyncio", "_asyncio", "_asynciomodule"),
    UVICORN: ("uvicorn", "httptools", "llhttp"),
    FRAMEWORK: ("fastapi", "starlette"),
    MIDDLEWARE: ("app/middleware", "app/metrics", "prometheus_client"),
    DIRECT_ROUTES: ("app/direct_routes",),
    OWN: ("app", "benchmarks"),
    DRIVER: ("asyncpg", "pymongo", "bson", "redis", "sqlite3", "_sqlite3", "_sqlite", "libsqlite3"),
    PYDANTIC_AND_JSON: ("pydantic", "pydantic_core", "orjson", "json", "_json"),
    COMPRESSION: ("app/compression", "starlette_compress", "zstandard", "libzstd"),
    ELSE: (),
}
LAYER_OF = {name: layer for layer, names in LAYERS.items() for name in names}

NETWORK_CALLS = frozenset(
    {"epoll_pwait", "epoll_wait", "read", "recv", "recvmsg", "send", "sendmsg", "write", "writev"}
)
WAITS = frozenset({"PyThread_acquire_lock_timed", "pthread_cond_timedwait", "pthread_cond_wait", "sem_wait"})
# Below a wait are at most the C library's own functions, which have no names.
FRAMES_BELOW_A_WAIT = 3


class Frame(NamedTuple):
    """A function, and its file: relative for Python, else as the debugger or the linker knows it."""

    function: str
    file: str


class Stack(NamedTuple):
    """Frames, the innermost first, and in how many samples they were seen."""

    frames: tuple[Frame, ...]
    samples: int


def stacks_of(text: str) -> Iterator[Stack]:
    """Yield the stacks of `py-spy record --format raw` that were on a CPU."""
    for line in text.splitlines():
        described, _, samples = line.rpartition(" ")
        frames = tuple(map(_frame_of, reversed(described.split(";"))))
        if not _is_waiting(frames):
            yield Stack(frames, int(samples))


def _frame_of(text: str) -> Frame:
    function, _, place = text.rpartition(" (")
    return Frame(function, re.sub(r"(:\d+)?\)$", "", place))


def _is_waiting(frames: Sequence[Frame]) -> bool:
    # py-spy counts a thread that takes its sleep up again after a sample as busy.
    return any(frame.function in WAITS for frame in frames[: FRAMES_BELOW_A_WAIT + 1])


def layer_of(frames: Sequence[Frame]) -> str:
    """Return the layer that a stack belongs to."""
    if frames[0].function in NETWORK_CALLS:
        return KERNEL
    return next((layer for frame in frames if (layer := _layer_of_file(frame.file))), ELSE)


def function_of(frames: Sequence[Frame]) -> str:
    """Return the innermost function that has a layer, with its file."""
    if frames[0].function in NETWORK_CALLS:
        return f"{frames[0].function} (kernel)"
    named = (frame for frame in frames if _layer_of_file(frame.file))
    function, file = next(named, frames[0])
    # Where a wheel was built says nothing.
    return f"{function} ({'/'.join(file.split('/')[-3:])})"


def _layer_of_file(file: str) -> str | None:
    words = [re.split(r"[.-]", part, maxsplit=1)[0] for part in file.strip("/").split("/")]
    if words[0] == "app":
        words = ["/".join(words[:2]), "app"]
    elif not file.startswith("/"):
        # Not uvicorn/loops/asyncio.py.
        words = words[:1]
    return next((LAYER_OF[word] for word in words if word in LAYER_OF), None)


def counted(stacks: Iterable[Stack], name_of: Callable[[Sequence[Frame]], str]) -> Counter[str]:
    """Return how many samples have each name."""
    counts: Counter[str] = Counter()
    for stack in stacks:
        counts[name_of(stack.frames)] += stack.samples
    return counts


def scaled(counts: Mapping[str, int], cpu_us: float) -> dict[str, float]:
    """Return the microseconds of each name, which together are those that a request was measured to take."""
    total = sum(counts.values())
    return {name: cpu_us * samples / total for name, samples in counts.items()}
