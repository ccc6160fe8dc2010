"""A core for the server under measurement alone; load, databases and everything else use the others."""

import os


def leave_server_core() -> int | None:
    """Move this process, and those that it starts from now on, to all cores but one; return that one.

    None if there is only one, or if the system cannot do that.
    """
    if not hasattr(os, "sched_setaffinity"):
        return None
    server_core, *others = sorted(os.sched_getaffinity(0))
    if not others:
        return None
    os.sched_setaffinity(0, others)
    return server_core
