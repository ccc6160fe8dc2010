"""The layers of a server in py-spy's samples: collapsed stacks, read and counted.

A sample belongs to the innermost frame of a package that has a layer. The time of the standard library, the
interpreter and the C library counts for their callers.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

KERNEL = "kernel"
EVENT_LOOP = "event loop"
UVICORN = "Uvicorn"
FRAMEWORK = "FastAPI and Starlette"
MIDDLEWARE = "request id, timing and metrics"
FAST_PATH = "fast path"
OWN = "endpoint, service and store"
DRIVER = "database driver"
PYDANTIC_AND_JSON = "Pydantic and JSON"
COMPRESSION = "compression"
ELSE = "everything else"

# By a package, a module in C, a library, or a package of the service.
LAYERS: Mapping[str, tuple[str, ...]] = {
    KERNEL: (),
    EVENT_LOOP: ("uvloop", "libuv", "asyncio", "_asyncio", "_asynciomodule"),
    UVICORN: ("uvicorn", "httptools", "llhttp"),
    FRAMEWORK: ("fastapi", "starlette"),
    MIDDLEWARE: (
        "app/forge/http/middleware",
        "app/forge/observability/metrics",
        "app/forge/http/routing",
        "prometheus_client",
    ),
    FAST_PATH: ("app/forge/http/fast_path",),
    OWN: ("app", "benchmarks/baselines"),
    DRIVER: ("asyncpg", "pymongo", "bson", "redis", "sqlite3", "_sqlite3", "_sqlite", "libsqlite3"),
    PYDANTIC_AND_JSON: ("pydantic", "pydantic_core", "orjson", "json", "_json"),
    COMPRESSION: (
        "app/forge/http/compression",
        "app/forge/http/compression_gzip",
        "app/forge/http/compression_negotiated",
        "starlette_compress",
        "zstandard",
        "benchmarks/goals/layers",
    ),
    ELSE: (),
}
LAYER_OF = {name: layer for layer, names in LAYERS.items() for name in names}

NETWORK_CALLS = frozenset(
    {"epoll_pwait", "epoll_wait", "read", "recv", "recvmsg", "send", "sendmsg", "write", "writev"}
)
WAITS = frozenset({"PyThread_acquire_lock_timed", "pthread_cond_timedwait", "pthread_cond_wait", "sem_wait"})
SYSTEM_CALLS = NETWORK_CALLS | {"fcntl", "getpid", "getrandom", "mmap", "munmap", "pread64", "pwrite64"}
POLLS = frozenset({"epoll_pwait", "epoll_wait"})
C_LIBRARY = re.compile(r"libc[.-]|ld-musl|libpthread")
SITE_PACKAGES = re.compile(r"^.*/(site-packages|lib-dynload|lib/python3\.\d+)/")
OWN_FOLDERS = re.compile(r"^.*/(?=app/|benchmarks/)")
# Below a wait are at most the C library's own functions, which have no names.
FRAMES_BELOW_A_WAIT = 3


class Frame(NamedTuple):
    """A function and its file: from its package on for Python, and the build's path for compiled code."""

    function: str
    file: str


class Stack(NamedTuple):
    """Frames, the innermost first, and the number of samples that had them."""

    frames: tuple[Frame, ...]
    samples: float


def stacks_of(text: str) -> Iterator[Stack]:
    """Yield the stacks of `py-spy record --format raw` that were on a CPU."""
    for line in text.splitlines():
        described, _, samples = line.rpartition(" ")
        frames = tuple(map(_frame_of, reversed(described.split(";"))))
        if not _is_waiting(frames):
            yield Stack(frames, int(samples))


def _frame_of(text: str) -> Frame:
    function, _, place = text.rpartition(" (")
    file = re.sub(r"(:\d+)?\)$", "", place)
    for folder in (SITE_PACKAGES, OWN_FOLDERS):
        if folder.match(file):
            return Frame(function, folder.sub("", file))
    return Frame(function, file)


def _is_waiting(frames: Sequence[Frame]) -> bool:
    # py-spy counts a thread that resumes its sleep after a sample as busy.
    return any(frame.function in WAITS for frame in frames[: FRAMES_BELOW_A_WAIT + 1])


def _system_call(frames: Sequence[Frame]) -> str:
    """Return the C library's function that the stack ends in, else nothing."""
    function, file = frames[0]
    # uvloop has a `write` as well.
    return function if C_LIBRARY.match(Path(file).name) else ""


def layer_of(frames: Sequence[Frame]) -> str:
    """Return the layer that a stack belongs to."""
    if _system_call(frames) in NETWORK_CALLS:
        return KERNEL
    return next((layer for frame in frames if (layer := _layer_of_file(frame.file))), ELSE)


def function_of(frames: Sequence[Frame]) -> str:
    """Return the innermost function that has a layer, with its file."""
    if _system_call(frames) in NETWORK_CALLS:
        return f"{frames[0].function} (kernel)"
    named = (frame for frame in frames if _layer_of_file(frame.file))
    function, file = next(named, frames[0])
    # Neither an address nor the directory in which a wheel was built has a meaning here.
    place = "/".join(file.split("/")[-2:]) if file.startswith("/") else file
    return f"{'native code' if function.startswith('0x') else function} ({place})"


def _layer_of_file(file: str) -> str | None:
    words = [re.split(r"[.-]", part, maxsplit=1)[0] for part in file.strip("/").split("/")]
    if words[0] in {"app", "benchmarks"}:
        words = ["/".join(words[:length]) for length in range(len(words), 0, -1)]
    return next((LAYER_OF[word] for word in words if word in LAYER_OF), None)


def without_waiting(stacks: Sequence[Stack], kernel_share: float) -> list[Stack]:
    """Return the stacks with only as much polling as the kernel's share of the time allows.

    A server that was woken looks busy before it runs again, and its wait does not count as its time.
    """
    total = sum(stack.samples for stack in stacks)
    polls = sum(stack.samples for stack in stacks if _system_call(stack.frames) in POLLS)
    calls = sum(stack.samples for stack in stacks if _system_call(stack.frames) in SYSTEM_CALLS) - polls
    allowed = max(0.0, (kernel_share * (total - polls) - calls) / (1 - kernel_share))
    share = min(1.0, allowed / polls) if polls else 1.0
    return [
        stack._replace(samples=stack.samples * share) if _system_call(stack.frames) in POLLS else stack
        for stack in stacks
    ]


def counted(stacks: Iterable[Stack], name_of: Callable[[Sequence[Frame]], str]) -> dict[str, float]:
    """Return the number of samples with each name."""
    counts: defaultdict[str, float] = defaultdict(float)
    for stack in stacks:
        counts[name_of(stack.frames)] += stack.samples
    return dict(counts)


def scaled(counts: Mapping[str, float], cpu_us: float) -> dict[str, float]:
    """Return the microseconds of each name, which add up to the measured CPU time of a request."""
    total = sum(counts.values())
    return {name: cpu_us * samples / total for name, samples in counts.items()}
