"""The server under measurement on a core of its own; the load, the databases and all else on the others."""

import os


def leave_server_core() -> int | None:
    """Move this process, and what it starts from now on, to all cores but one; return that one.

    None where there is only one, or where the system does not tell.
    """
    if not hasattr(os, "sched_setaffinity"):
        return None
    server_core, *others = sorted(os.sched_getaffinity(0))
    if not others:
        return None
    os.sched_setaffinity(0, others)
    return server_core
