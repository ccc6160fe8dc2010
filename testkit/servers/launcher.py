"""Become a server: `python launcher.py PARENT UID COMMAND ...`.

Give up root if UID is another user, and make Linux kill the server when PARENT ends for any reason.
This is a separate program, because Python must not run code between fork and exec in a process with threads.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def become_server(parent: int, uid: int, command: list[str]) -> None:
    """Replace this process by `command`, run as `uid`."""
    if uid != os.geteuid():
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
    if sys.platform == "linux":
        # After setuid, which would clear it.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("The process that started this server has ended.")
    os.execv(command[0], command)


if __name__ == "__main__":
    become_server(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
