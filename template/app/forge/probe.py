"""Check whether the service of this machine is ready: `python -m app.forge.probe [SECONDS]`.

For health checks of containers, and for deployments, which wait up to SECONDS. It imports neither the service nor its
settings, because a health check runs every few seconds.
"""

import os
import ssl
import sys
import time
from http.client import HTTPConnection, HTTPException, HTTPSConnection

PATH = "/health/ready"
TIMEOUT_SECONDS = 4
PAUSE_SECONDS = 0.2
# Addresses to listen on, but not to connect to.
EVERY_ADDRESS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


def main(arguments: list[str]) -> None:
    """Exit with 0 as soon as the service is ready, otherwise with 1 and the reason."""
    deadline = time.monotonic() + (float(arguments[0]) if arguments else 0)
    while (fault := _fault()) is not None:
        if time.monotonic() >= deadline:
            sys.exit(fault)
        time.sleep(PAUSE_SECONDS)


def _fault() -> str | None:
    host = os.environ.get("HOST", "127.0.0.1")
    connection = _connection(EVERY_ADDRESS.get(host, host), int(os.environ.get("PORT", "8000")))
    where = f"{PATH} on {connection.host}, port {connection.port}"
    try:
        connection.request("GET", PATH)
        status = connection.getresponse().status
    except (OSError, HTTPException) as error:
        return f"{where}, does not respond: {error or type(error).__name__}"
    finally:
        connection.close()
    return None if status == 200 else f"{where}, responds with {status}."


def _connection(host: str, port: int) -> HTTPConnection:
    if not os.environ.get("TLS_CERTIFICATE"):
        return HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
    # The certificate is for the name of the service, not for this address.
    unverified = ssl._create_unverified_context()  # noqa: S323, SLF001
    return HTTPSConnection(host, port, timeout=TIMEOUT_SECONDS, context=unverified)


if __name__ == "__main__":
    main(sys.argv[1:])
