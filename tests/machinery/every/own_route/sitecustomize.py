"""A route as a user would add it, in every process that has this folder on its PYTHONPATH: Python imports it automatically.

Servers and their workers are separate processes, which tests cannot patch.
"""

from typing import Any

from fastapi import FastAPI, Request

initialize = FastAPI.__init__


def _initialize_with_route(app: FastAPI, *args: Any, **options: Any) -> None:
    initialize(app, *args, **options)

    @app.get("/own/scheme")
    async def read_scheme(request: Request) -> str:
        return request.url.scheme


FastAPI.__init__ = _initialize_with_route  # type: ignore[assignment, method-assign]
