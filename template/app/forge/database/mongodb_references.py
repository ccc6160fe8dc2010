"""References between rows. MongoDB does not check them, so the service does, in a transaction if the server has them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from app.forge.database.mongodb_driver import Document, DriverDatabase, Session
from app.forge.errors import MissingReference, Referenced
from app.forge.table import Referrer, Table, referrers_in

# Returns the condition for the rows of a table that exist for the caller.
Visible = Callable[[str], Document]


class Emptied(NamedTuple):
    """Rows whose reference becomes null, and the rows that it referred to."""

    referrer: Referrer
    row_ids: set[UUID]
    referred_ids: set[UUID]


class Together(NamedTuple):
    """The rows that are deleted or changed when a row is removed."""

    # By table; the row itself is one of them.
    going: dict[str, set[UUID]]
    emptied: list[Emptied]

    def rows(self) -> Iterator[tuple[str, UUID]]:
        """Yield the name of the table and the id of each of them."""
        for name, row_ids in self.going.items():
            yield from ((name, row_id) for row_id in row_ids)
        for emptied in self.emptied:
            yield from ((emptied.referrer.table.name, row_id) for row_id in emptied.row_ids)


class References:
    """The references between tables, and their consequences."""

    def __init__(self, database: DriverDatabase, tables: Mapping[str, Table]) -> None:
        """Raises `ValueError` if a column refers to a table that is not one of these."""
        self._database = database
        self._tables = tables
        self._all = referrers_in(tables.values())
        for table, column, to, _ in self._all:
            if to not in tables:
                message = f"{table.name}.{column.name} refers to {to}, which is not one of the tables."
                raise ValueError(message)
        self._of = {name: [each for each in self._all if each.table.name == name] for name in tables}

    def has_to(self, table: Table) -> bool:
        """Return whether anything may refer to rows of the table."""
        return any(referrer.to == table.name for referrer in self._all)

    async def check(
        self,
        table: Table,
        rows: Sequence[Mapping[str, Any]],
        session: Session | None,
        visible: Visible,
        *,
        is_batch: bool = False,
    ) -> None:
        """Raise `MissingReference` if one of the rows refers to a row that does not exist for the caller."""
        for referrer in self._of[table.name]:
            await self._check(referrer, rows, session, visible, is_batch=is_batch)

    async def _check(
        self,
        referrer: Referrer,
        rows: Sequence[Mapping[str, Any]],
        session: Session | None,
        visible: Visible,
        *,
        is_batch: bool,
    ) -> None:
        name = referrer.column.name
        wanted = {row[name] for row in rows if row.get(name) is not None}
        if not wanted:
            return
        found = {"_id": {"$in": list(wanted)}, **visible(referrer.to)}
        missing = wanted - await self._ids(referrer.to, found, session)
        if missing:
            index = next(index for index, row in enumerate(rows) if row.get(name) in missing)
            noun = self._tables[referrer.to].noun
            raise MissingReference(noun, name, rows[index][name], index if is_batch else None)

    async def together(self, table: Table, row_id: UUID, session: Session | None) -> Together:
        """Return the rows that are deleted or changed with the row, or raise `Referenced` if it must be kept."""
        together = Together({table.name: {row_id}}, [])
        await self._gather_going(together, session)
        await self._refuse_if_held(table, row_id, together, session)
        for referrer in self._all:
            gone = together.going.get(referrer.to, set())
            if referrer.on_delete == "null" and gone:
                found = await self._ids(referrer.table.name, _to(referrer, gone), session)
                staying = found - together.going.get(referrer.table.name, set())
                together.emptied.append(Emptied(referrer, staying, gone))
        return together

    async def _gather_going(self, together: Together, session: Session | None) -> None:
        waiting = list(together.going.items())
        while waiting:
            name, row_ids = waiting.pop()
            for referrer in self._all:
                if referrer.to != name or referrer.on_delete != "cascade":
                    continue
                going = together.going.setdefault(referrer.table.name, set())
                found = await self._ids(referrer.table.name, _to(referrer, row_ids), session) - going
                if found:
                    going |= found
                    waiting.append((referrer.table.name, found))

    async def _refuse_if_held(
        self, table: Table, row_id: UUID, together: Together, session: Session | None
    ) -> None:
        for referrer in self._all:
            gone = together.going.get(referrer.to)
            if referrer.on_delete != "restrict" or not gone:
                continue
            # A row that is deleted, too, does not prevent the delete.
            going = together.going.get(referrer.table.name, set())
            others = {**_to(referrer, gone), "_id": {"$nin": list(going)}}
            found = await self._database[referrer.table.name].find_one(others, ["_id"], session=session)
            if found is not None:
                raise Referenced.of(table.noun, row_id, referrer.table.noun)

    async def remove(self, table: Table, row_id: UUID, together: Together, session: Session | None) -> None:
        """Set references to deleted rows to null, and delete all rows except the row itself."""
        for emptied in together.emptied:
            if emptied.row_ids:
                # Without transactions, a reference may have changed since.
                still = {
                    "_id": {"$in": list(emptied.row_ids)},
                    **_to(emptied.referrer, emptied.referred_ids),
                }
                collection = self._database[emptied.referrer.table.name]
                await collection.update_many(
                    still, {"$set": {emptied.referrer.column.name: None}}, session=session
                )
        # Rows that were found later refer to rows that were found earlier.
        for name, row_ids in reversed(together.going.items()):
            others = row_ids - {row_id} if name == table.name else row_ids
            if others:
                await self._database[name].delete_many({"_id": {"$in": list(others)}}, session=session)

    async def _ids(self, name: str, wanted: Document, session: Session | None) -> set[UUID]:
        found = self._database[name].find(wanted, ["_id"], session=session)
        return {document["_id"] for document in await found.to_list(None)}


def _to(referrer: Referrer, row_ids: set[UUID]) -> Document:
    return {referrer.column.name: {"$in": list(row_ids)}}
