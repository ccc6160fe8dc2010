"""Checks of a project and of the machine that it runs on: `python -m app.forge.doctor`, or `make doctor`.

Each finding has a name, a level, the problem and its fix. Checks only read, and need no package that may be missing.
Modules whose names end with `_doctor`, beside the adapters, check the chosen database, cache and server.
"""
