"""`python -m app`: the service as it runs in production."""

import sys
from collections.abc import Iterator
from socket import getaddrinfo
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


def main() -> None:
    """Serve until SIGTERM or Ctrl-C. Raises `SystemExit` with the name of each invalid setting."""
    # Imported lazily, because workers of some servers import this module again, within a time limit.
    from pydantic import ValidationError

    from app.forge.server import serve
    from app.settings import settings_of_environment

    try:
        settings = settings_of_environment()
    except ValidationError as error:
        sys.exit("\n".join(_faults(error)))
    _refuse_unknown_host(settings.host)
    serve(settings)


def _refuse_unknown_host(host: str) -> None:
    try:
        getaddrinfo(host, None)
    except OSError as error:
        sys.exit(
            f"HOST={host} is not an address of this machine ({error}). conda sets HOST to the name of its compiler's "
            f"target: unset it, or set HOST=127.0.0.1."
        )


def _faults(error: "ValidationError") -> Iterator[str]:
    for fault in error.errors():
        name = ".".join(map(str, fault["loc"])).upper() or "Settings"
        # URLs are not repeated, because they contain passwords.
        is_public = isinstance(fault["input"], str) and not name.endswith(("_URL", "_SECRET"))
        yield f"{name}={fault['input']}: {fault['msg']}" if is_public else f"{name}: {fault['msg']}"


if __name__ == "__main__":
    main()
