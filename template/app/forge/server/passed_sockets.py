"""The listening sockets that systemd opened. They stay open while the service restarts, so that clients only wait.

https://www.freedesktop.org/software/systemd/man/latest/sd_listen_fds.html
"""

import os
from socket import socket

FIRST_DESCRIPTOR = 3


def passed_sockets() -> list[socket]:
    """Return the sockets that were passed to this process, once; an empty list if there are none."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    # Child processes must not mistake their descriptors for these.
    for name in ("LISTEN_PID", "LISTEN_FDNAMES"):
        os.environ.pop(name, None)
    count = int(os.environ.pop("LISTEN_FDS", "0"))
    return [socket(fileno=FIRST_DESCRIPTOR + number) for number in range(count)]
