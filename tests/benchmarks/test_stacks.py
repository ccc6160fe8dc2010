"""Samples of stacks, and the layers they count for."""

from __future__ import annotations

import pytest

from benchmarks.profiling.stacks import (
    COMPRESSION,
    DRIVER,
    ELSE,
    EVENT_LOOP,
    FAST_PATH,
    FRAMEWORK,
    KERNEL,
    MIDDLEWARE,
    OWN,
    PYDANTIC_AND_JSON,
    UVICORN,
    Frame,
    Stack,
    counted,
    function_of,
    layer_of,
    scaled,
    stacks_of,
    without_waiting,
)

PACKAGES = "/srv/.venv/lib/python3.11/site-packages"
SENDING = f"send ({PACKAGES}/uvicorn/protocols/http/httptools_impl.py:513)"
WRITING = f"{SENDING};UVStream_write (/project/uvloop/loop.c:110085);write (/usr/lib/libc.so.6)"


def _layer(*frames: str) -> str:
    (stack,) = stacks_of(f"{';'.join(frames)} 1")
    return layer_of(stack.frames)


@pytest.mark.parametrize(
    ("frame", "layer"),
    [
        ("uv_run (/project/build/libuv-x86_64/src/unix/core.c:464)", EVENT_LOOP),
        ("task_step (/build/Python-3.11.7/Modules/_asynciomodule.c:2990)", EVENT_LOOP),
        ("Timeout.reschedule (/usr/lib/python3.11/asyncio/timeouts.py:80)", EVENT_LOOP),
        (SENDING, UVICORN),
        (f"setup ({PACKAGES}/uvicorn/loops/asyncio.py:3)", UVICORN),
        ("llhttp__internal__run (/project/vendor/llhttp/src/llhttp.c:9208)", UVICORN),
        (f"__call__ ({PACKAGES}/starlette/responses.py:171)", FRAMEWORK),
        ("__call__ (/tmp/x/ttl/app/forge/http/middleware.py:54)", MIDDLEWARE),
        ("__call__ (/tmp/x/ttl/app/forge/observability/metrics.py:66)", MIDDLEWARE),
        (f"inc ({PACKAGES}/prometheus_client/values.py:28)", MIDDLEWARE),
        ("find (/tmp/x/ttl/app/forge/http/fast_path/tree.py:34)", FAST_PATH),
        ("get (/tmp/x/ttl/app/forge/database/postgres.py:129)", OWN),
        ("app (/srv/benchmarks/baselines/postgres.py:43)", OWN),
        ("_us (/srv/benchmarks/goals/layers/compression.py:43)", COMPRESSION),
        ("__call__ (/tmp/x/ttl/app/forge/http/compression.py:24)", COMPRESSION),
        (f"0x7f00 ({PACKAGES}/zstandard/backend_c.cpython-311-x86_64-linux-gnu.so)", COMPRESSION),
        ("decode_row (/project/asyncpg/protocol/protocol.c:16144)", DRIVER),
        ("execute (/build/Python-3.11.7/Modules/_sqlite/connection.c:12)", DRIVER),
        ("sqlite3_step (/usr/lib/libsqlite3.so.0)", DRIVER),
        (f"0x7f00 ({PACKAGES}/pydantic_core/_pydantic_core.cpython-311.so)", PYDANTIC_AND_JSON),
        ("scan_once (/usr/lib/python3.11/lib-dynload/_json.cpython-311.so)", PYDANTIC_AND_JSON),
        ("main (/usr/bin/something)", ELSE),
    ],
)  # fmt: skip
def test_a_sample_belongs_to_the_layer_of_its_package(frame: str, layer: str) -> None:
    assert _layer(frame) == layer


def test_the_innermost_package_gets_the_time() -> None:
    assert _layer(SENDING, "__call__ (/tmp/x/ttl/app/forge/http/middleware.py:54)") == MIDDLEWARE


@pytest.mark.parametrize(
    "below",
    [
        "urandom (/usr/lib/libpython3.11.so.1.0);getrandom (/usr/lib/libc.so.6)",
        "UUID.__hash__ (/usr/lib/python3.11/uuid.py:269)",
        "Py_DECREF (/build/cpython-3.11/include/python3.11/object.h:537)",
    ],
)
def test_the_standard_library_and_the_interpreter_count_for_their_caller(below: str) -> None:
    assert _layer("__call__ (/tmp/x/ttl/app/forge/http/middleware.py:54)", below) == MIDDLEWARE


def test_reading_and_writing_sockets_counts_for_the_kernel() -> None:
    assert _layer(WRITING) == KERNEL


def test_a_function_with_the_name_of_a_system_call_is_not_one() -> None:
    assert _layer("write (/project/uvloop/loop.c:110207)") == EVENT_LOOP


@pytest.mark.parametrize(
    "below",
    [
        "PyThread_acquire_lock_timed (/usr/lib/libpython3.11.so.1.0);0x7f01 (/usr/lib/libc.so.6)",
        "pthread_cond_timedwait (/usr/lib/libc.so.6);0x7f01 (/usr/lib/libc.so.6)",
    ],
)
def test_a_thread_that_waits_is_not_counted(below: str) -> None:
    assert list(stacks_of(f"Queue.get (/usr/lib/python3.11/queue.py:171);{below} 476")) == []


def _polling(samples: float) -> Stack:
    return Stack(
        (Frame("epoll_pwait", "/usr/lib/libc.so.6"), Frame("uv_run", "/project/uvloop/loop.c")), samples
    )


def _working(samples: float) -> Stack:
    return Stack((Frame("send", "uvicorn/server.py"),), samples)


def _writing(samples: float) -> Stack:
    return Stack((Frame("write", "/usr/lib/libc.so.6"), Frame("write", "/project/uvloop/loop.c")), samples)


def test_polling_counts_as_far_as_the_kernel_was_busy() -> None:
    stacks = without_waiting([_working(70), _writing(10), _polling(90)], kernel_share=0.3)
    assert counted(stacks, layer_of) == {UVICORN: 70, KERNEL: pytest.approx(30)}


@pytest.mark.parametrize(("kernel_share", "polls"), [(0.1, 0), (0.9, 90)])
def test_polling_counts_for_at_least_zero_and_at_most_its_samples(kernel_share: float, polls: float) -> None:
    stacks = without_waiting([_working(70), _writing(10), _polling(90)], kernel_share)
    assert counted(stacks, layer_of) == {UVICORN: 70, KERNEL: 10 + polls}


def test_layers_add_up_to_the_measured_time_of_a_request() -> None:
    costs = scaled({UVICORN: 300, OWN: 100}, cpu_us=80.0)
    assert costs == {UVICORN: 60.0, OWN: 20.0}


@pytest.mark.parametrize(
    ("described", "named"),
    [
        (SENDING, "send (uvicorn/protocols/http/httptools_impl.py)"),
        (WRITING, "write (kernel)"),
        ("feed (/project/httptools/parser/parser.c:6536)", "feed (parser/parser.c)"),
        (f"0x7f00 ({PACKAGES}/orjson/orjson.so)", "native code (orjson/orjson.so)"),
        ("get (/home/someone/ttl/app/forge/cache/ttl_cache.py:44)", "get (app/forge/cache/ttl_cache.py)"),
    ],
)
def test_functions_are_named_without_addresses_and_folders_of_a_machine(described: str, named: str) -> None:
    (stack,) = stacks_of(f"{described} 1")
    assert function_of(stack.frames) == named
