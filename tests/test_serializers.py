"""Both serializers write every type of a field in the form in which a body reads it."""

from __future__ import annotations

import json
import subprocess

from tests.repository import TEMPLATE
from tests.variants.environments import clean_environment, environment_of_all

BY_BOTH = """
import importlib, json, sys
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from app.forge.bodies import Body
from app.forge.fields import Day, Exact, Finite, Moment, Reference

class Status(StrEnum):
    OPEN = "open"

class Order(Body):
    reference: Reference
    moment: Moment
    local: Moment
    day: Day
    amount: Annotated[Decimal, Exact(digits=12, places=2)]
    ratio: Finite
    status: Status
    duration: timedelta
    marks: set[int]

row = {
    "reference": UUID("01890a5d-ac96-774b-bcce-b302099a8057"),
    "moment": datetime(2026, 11, 27, 12, 0, 0, 123000, tzinfo=UTC),
    "local": datetime(2026, 11, 27, 12, tzinfo=UTC),
    "day": date(2026, 11, 27),
    "amount": Decimal("19.90"),
    "ratio": 0.5,
    "status": Status.OPEN,
    "duration": timedelta(seconds=90),
    "marks": {1},
}
modules = [importlib.import_module(f"app.forge.serializer.with_{name}") for name in ("orjson", "pydantic")]
one, two = (module.Serializer(Order, Order).one(row) for module in modules)
orders = [Order.model_validate(json.loads(text)) for text in (one, two)]
assert orders[0] == orders[1] == Order(**row)
print(json.dumps([json.loads(one), json.loads(two)]))
"""


def test_a_body_reads_the_output_of_both_serializers() -> None:
    python = environment_of_all() / "bin" / "python"
    done = subprocess.run(
        [python, "-c", BY_BOTH],
        cwd=TEMPLATE,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    by_orjson, by_pydantic = json.loads(done.stdout)
    assert by_orjson == by_pydantic
