"""The rule over two resources in docs/resources.md lowers the stock on every database."""

from __future__ import annotations

import re

import pytest
from fastforge.template.resources import parse_line

from testkit.servers.variables import ServerOf
from tests.repository import REPOSITORY
from tests.variants.drawn import GRAMMAR, Drawn
from tests.variants.rendering import Renderer
from tests.variants.space import covering_variants

RESOURCES = [
    parse_line("item name:str:unique stock:int:min=0"),
    parse_line("order item:ref=items quantity:int:min=1 without=batch"),
]
MOST_LINES = 10
TESTS = '''"""Orders lower the stock."""

from concurrent.futures import ThreadPoolExecutor

from fastapi.testclient import TestClient

ITEMS, ORDERS = "/api/v1/items", "/api/v1/orders"


def test_orders_lower_the_stock_until_there_is_none_left(client: TestClient) -> None:
    item = client.post(ITEMS, json={"name": "Lamp", "stock": 5}).json()["id"]
    client.get(f"{ITEMS}/{item}")

    with ThreadPoolExecutor(8) as pool:
        asked = [{"item_id": item, "quantity": 2}] * 8
        statuses = list(pool.map(lambda order: client.post(ORDERS, json=order).status_code, asked))

    assert (statuses.count(201), statuses.count(409)) == (2, 6)
    assert client.get(f"{ITEMS}/{item}").json()["stock"] == 1
    assert len(client.get(ORDERS).json()["items"]) == 2


def test_a_refused_order_names_the_item(client: TestClient) -> None:
    item = client.post(ITEMS, json={"name": "Lamp", "stock": 5}).json()["id"]
    refused = client.post(ORDERS, json={"item_id": item, "quantity": 6})
    assert refused.json()["detail"] == f"Fewer than 6 of item {item} are in stock."
'''


def documented_rules(database: str) -> str:
    """Return the documented module, with the end that is for this database."""
    section = (REPOSITORY / "docs/resources.md").read_text().partition("## A rule over two resources\n")[2]
    whole, *ends = re.findall(r"```python\n(.*?)```", section.partition("\n## ")[0], re.DOTALL)
    beginning, start, first = whole.partition("        def work")
    end = dict(zip(("sqlite", "postgres", "mongodb"), (start + first, *ends), strict=True))[database]
    assert len(end.splitlines()) <= MOST_LINES
    return str(beginning + end)


@pytest.mark.parametrize("database", ["sqlite", "postgres", "mongodb"])
def test_the_documented_rule_over_two_resources_works(
    renderer: Renderer, server_of: ServerOf, database: str
) -> None:
    variant = next(
        each for each in covering_variants() if each["database"] == database and each["auth"] == "none"
    )
    answers = {"resources": RESOURCES, "revisions": GRAMMAR.revisions_of(RESOURCES)}
    run = Drawn(variant, server_of, renderer, f"rule-{database}").project_of(answers, "project")
    (run.project / "app/orders/rules.py").write_text(documented_rules(database))
    (run.project / "tests/test_orders.py").unlink()
    (run.project / "tests/test_stock.py").write_text(TESTS)
    run.tool("ruff", "format", "--check")
    run.tool("ruff", "check")
    run.tool("mypy")
    assert run.test() > 2
