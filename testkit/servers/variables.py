"""Environment variables that connect a project to its servers."""

from collections.abc import Callable, Mapping
from typing import Any
from zlib import crc32

# The server of a kind: a fixture's, or one that this process has started.
ServerOf = Callable[[str], Any]


def variables_for(answers: Mapping[str, str], server_of: ServerOf, name: str) -> dict[str, str]:
    """Return the variables for a project with these answers, with empty databases that no other project uses.

    `name` distinguishes them from those of others. A server is used only if an answer needs it.
    """
    # MongoDB and PostgreSQL take names of 63 characters.
    short = f"for_{crc32(name.encode()):08x}"
    database = answers["database"]
    variables = {"DATABASE_URL": "sqlite:///var/app.db"}
    if database in {"postgres", "mongodb"}:
        server = server_of(database)
        variables = {
            "TEST_DATABASE_URL": server.database(f"{short}_test"),
            "DATABASE_URL": server.database(f"{short}_contract_test"),
        }
    if answers["cache"] == "redis":
        server = server_of("redis")
        variables |= {"TEST_REDIS_URL": server.database(), "REDIS_URL": server.database()}
    if answers["deployment"] == "nginx":
        variables |= server_of("nginx").environment
    return variables
