"""A listener that logs MongoDB's slow commands with their plans from `explain`."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from typing import Any

from pymongo.errors import PyMongoError
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from app.forge.database.mongodb_driver import Document, DriverDatabase, in_time
from app.forge.database.slow_queries import log_slow_query

# https://www.mongodb.com/docs/manual/reference/command/explain/
EXPLAINED = frozenset({"aggregate", "count", "delete", "distinct", "find", "findAndModify", "update"})
# Parts that belong to the session, not to the statement.
SESSION_FIELDS = frozenset(
    {"autocommit", "lsid", "maxTimeMS", "readConcern", "startTransaction", "txnNumber", "writeConcern"}
)
# The location of plans in the response of `explain`; the rest repeats the command, including values.
PLAN_FIELDS = (
    "queryPlanner",
    "winningPlan",
    "queryPlan",
    "inputStage",
    "inputStages",
    "shards",
    "stages",
    "$cursor",
)
EXPLAIN_SECONDS = 5.0


class SlowQueryListener(CommandListener):
    """Created on the event loop; its methods may be called in any thread."""

    def __init__(self, slow_seconds: float) -> None:
        self._slow_seconds = slow_seconds
        self._loop = asyncio.get_running_loop()
        self._commands: dict[int, Document] = {}
        self._logging: set[asyncio.Task[None]] = set()
        self._database: DriverDatabase | None = None

    def explain_through(self, database: DriverDatabase) -> None:
        """Use the server of this database for plans."""
        self._database = database

    async def close(self) -> None:
        """Return when all slow commands are logged."""
        await asyncio.gather(*self._logging)

    def started(self, event: CommandStartedEvent) -> None:
        """Keep the command until its duration is known."""
        if event.command_name != "explain":
            self._commands[event.request_id] = statement_of(event.command)

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Log the command if it was slow."""
        self._end(event)

    def failed(self, event: CommandFailedEvent) -> None:
        """Log the command if it was slow."""
        self._end(event)

    def _end(self, event: CommandSucceededEvent | CommandFailedEvent) -> None:
        command = self._commands.pop(event.request_id, None)
        seconds = event.duration_micros / 1_000_000
        if command is not None and seconds >= self._slow_seconds:
            self._loop.call_soon_threadsafe(self._log_later, event.command_name, command, seconds)

    def _log_later(self, name: str, command: Document, seconds: float) -> None:
        task = self._loop.create_task(self._log(name, command, seconds))
        self._logging.add(task)
        task.add_done_callback(self._logging.discard)

    async def _log(self, name: str, command: Document, seconds: float) -> None:
        plan = await self._plan(command) if name in EXPLAINED else ""
        log_slow_query(json.dumps(without_values(command)), seconds, plan)

    async def _plan(self, command: Document) -> str:
        assert self._database is not None
        explain = {"explain": command, "verbosity": "queryPlanner"}
        # Without them, ids in the command cannot be encoded.
        options = self._database.codec_options
        try:
            told = await in_time(self._database.command(explain, codec_options=options), EXPLAIN_SECONDS)
        except (PyMongoError, TimeoutError) as error:
            return f"MongoDB returned no plan: {type(error).__name__}"
        return " < ".join(stages_of(told))


def statement_of(command: Mapping[str, Any]) -> Document:
    """Return the command as the application sent it."""
    return {
        name: value
        for name, value in command.items()
        if name not in SESSION_FIELDS and not name.startswith("$")
    }


def without_values(command: Document) -> Document:
    """Return the command with "?" instead of each value except the first, which names the collection."""
    (name, collection), *others = command.items()
    first = collection if isinstance(collection, str) else "?"
    return {name: first, **{field: _shape(value) for field, value in others}}


def _shape(value: object) -> object:
    if isinstance(value, Mapping):
        return {name: _shape(each) for name, each in value.items()}
    if isinstance(value, list):
        shapes = [_shape(each) for each in value]
        # A thousand documents to insert look like one.
        return [
            shape for number, shape in enumerate(shapes) if shape not in shapes[max(0, number - 1) : number]
        ]
    return "?"


def stages_of(plan: object) -> Iterator[str]:
    """Yield the stages of the winning plan, the last one first, with the indexes that they use."""
    if isinstance(plan, list):
        for each in plan:
            yield from stages_of(each)
    if isinstance(plan, Mapping):
        if "stage" in plan:
            yield " ".join(str(plan[name]) for name in ("stage", "indexName") if name in plan)
        for field in PLAN_FIELDS:
            yield from stages_of(plan.get(field))
