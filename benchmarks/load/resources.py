"""Lists of resources for services under measurement: the sample, and others like a user's."""

import json

import yaml

from benchmarks.load.rendering import REPOSITORY

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
    # The workloads use the sample.
    sample = yaml.safe_load((REPOSITORY / "copier.yml").read_text("utf-8"))["sample_resources"]["default"]
    others = [{"name": noun, "fields": FIELDS} for noun in NOUNS[: count - 1]]
    return json.dumps([*sample, *others])
