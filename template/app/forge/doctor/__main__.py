"""Find what is wrong with the project, its settings, its servers and this machine. Exit code 3 means findings.

This file also runs on a Python that is too old for the service, and says so.
"""

import sys

OLDEST = (3, 11)

if sys.version_info < OLDEST:
    sys.exit(
        "error  interpreter.version\n    This is Python {}.{}, which is too old.\n    Fix: Run make PYTHON=python{}.{} "
        "install with a newer one.".format(*sys.version_info[:2], *OLDEST)
    )

from app.forge.doctor.command import main  # noqa: E402 (an old Python cannot import it)

if __name__ == "__main__":
    main()
