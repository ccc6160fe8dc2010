"""Lists of resources for services under measurement: the sample, and others like a user's."""

import json

# The sample of copier.yml, which the workloads use.
ITEM = [
    "name:str:max=200:unique",
    "description:str:min=0:max=2000:optional",
    "price_cents:int:min=0",
    "tags:list=str:max=20:max_each=50:default=:filter",
]
# Six fields with a reference, as in tests/variants/budgets.toml.
FIELDS = [
    "number:str:max=40:unique",
    "item:ref=items",
    "quantity:int:min=1",
    "status:enum=open,paid,shipped:default=open:filter",
    "note:str:max=2000:optional",
    "due:date:optional:filter",
]
NOUNS = (
    "order", "invoice", "parcel", "ticket", "visit", "lamp", "box", "payment", "refund", "voucher",
    "shipment", "return_note", "quote", "task", "note_card", "booking", "lease", "repair", "audit",
)  # fmt: skip


def list_of(count: int) -> str:
    """Return the answer to `resources` for so many of them, at most 20, with the sample first."""
    others = [{"name": noun, "fields": FIELDS} for noun in NOUNS[: count - 1]]
    return json.dumps([{"name": "item", "fields": ITEM}, *others])
