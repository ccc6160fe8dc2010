"""`python -m app`: the service as it runs in production."""

import sys


def main() -> None:
    """Serve until SIGTERM or Ctrl-C. Raises `SystemExit` with the name and the form of each invalid setting."""
    # Imported lazily, because workers of some servers import this module again, within a time limit.
    from app.forge.environment import InvalidSettings
    from app.forge.server import serve
    from app.forge.server.settings import host_fault
    from app.settings import settings_of_environment

    try:
        settings = settings_of_environment()
    except InvalidSettings as error:
        sys.exit(str(error))
    if fault := host_fault(settings.host):
        sys.exit(fault)
    serve(settings)


if __name__ == "__main__":
    main()
