"""A resource: the parts that its folder in `app/` contributes to the service."""

from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from app.forge.collection import Collection
from app.forge.serializer import Serializer
from app.forge.table import Table


@dataclass(frozen=True)
class Resource:
    """The routes, table, rules and response models of one resource. `app/resources.py` lists all resources."""

    router: APIRouter
    table: Table
    rules: type[Collection[Any, Any]]
    model: type[BaseModel]
    # The model including what `?expand=` adds, if the table has references.
    expanded: type[BaseModel] | None = None

    @property
    def tag(self) -> dict[str, Any]:
        """The tag of the resource in the OpenAPI document."""
        name = self.router.tags[0]
        return {"name": name, "description": f"Create, read, change, remove and list {name}."}

    def serializer(self) -> Serializer:
        """Return a serializer for the rows."""
        return Serializer(self.model, self.expanded or self.model)
