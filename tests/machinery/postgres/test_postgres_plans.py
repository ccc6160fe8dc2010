"""Statements on a large table use its indexes, for any values."""

import asyncio
from collections.abc import Iterator

import asyncpg
import pytest

from app.forge.database.postgres_references import referring
from app.forge.database.postgres_statements import Statements
from app.forge.database.postgres_url import parse_url
from app.forge.table import referrers_in
from app.resources import RESOURCES
from tests.database import empty_database

AXES: tuple[str, ...] = ()
ON_ANY_PYTHON = True
ROWS = 200_000
# The sixth is the first that may have a generic plan.
EXECUTIONS = 8
TABLES = {resource.table.name: resource.table for resource in RESOURCES}
LINES = Statements(TABLES["order_lines"], TABLES)

# Every column has common and rare values; half of the rows have no buyer.
FILL = f"""
    INSERT INTO items SELECT uuid_of(1, n), 'item ' || n, NULL, n, '{{}}', now(), now() FROM generate_series(1, 1000) n;
    INSERT INTO customers SELECT uuid_of(2, n), n || '@customer', n = 1, now(), now() FROM generate_series(1, 1000) n;
    INSERT INTO order_lines SELECT
        uuid_of(3, n), n::text, uuid_of(1, 1 + n % 1000), CASE WHEN n % 2 = 0 THEN uuid_of(2, 1 + n % 1000) END,
        uuid_of(2, 1 + n % 1000), CASE WHEN n > 1000 THEN uuid_of(3, 1 + n % 1000) END,
        1 + n % 1000, n, n % 5000, (ARRAY['open', 'paid', 'shipped'])[1 + (n % 20000 > 0)::int + (n % 20000 > 1)::int],
        DATE '2020-01-01' + n % 2000, TIMESTAMPTZ '2020-01-01 00:00:00Z' + n % 10000 * INTERVAL '1 hour', NULL,
        n % 2 = 0, NULL, '{{}}', ARRAY[uuid_of(4, n % 2000), uuid_of(4, n % 3)], NULL, NULL, n % 3000, now(), now()
        FROM generate_series(1, {ROWS}) n
"""
UUID_OF = """
    CREATE FUNCTION uuid_of(kind int, number int) RETURNS uuid LANGUAGE sql IMMUTABLE AS
        $$ SELECT (lpad(to_hex(kind), 8, '0') || lpad(to_hex(number), 24, '0'))::uuid $$
"""


async def filled(url: str) -> None:
    connection = await parse_url(url).connect(timeout_seconds=120, server_settings={})
    try:
        await connection.execute(UUID_OF)
        await connection.execute(FILL)
        await connection.execute("ANALYZE items, customers, order_lines")
    finally:
        await connection.close()


async def dropped(url: str) -> None:
    connection = await parse_url(url).connect(timeout_seconds=120, server_settings={})
    try:
        await connection.execute("DROP FUNCTION IF EXISTS uuid_of")
    finally:
        await connection.close()


@pytest.fixture(scope="module")
def large(database_url: str) -> Iterator[str]:
    """Yield the URL of a database with 200,000 order lines."""
    empty_database(database_url)
    try:
        asyncio.run(filled(database_url))
        yield database_url
    finally:
        asyncio.run(dropped(database_url))
        empty_database(database_url)


async def plan_of(url: str, sql: str, values: str) -> str:
    """Return how PostgreSQL executes a prepared statement after its choice between a custom and a generic plan."""
    connection: asyncpg.Connection = await parse_url(url).connect(timeout_seconds=30, server_settings={})
    try:
        async with connection.transaction():
            await connection.execute(f"PREPARE asked AS {sql}")
            for _ in range(EXECUTIONS):
                await connection.execute(f"SAVEPOINT before; EXECUTE asked({values}); ROLLBACK TO before")
            explained = await connection.fetch(
                f"EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF) EXECUTE asked({values})"
            )
            return "\n".join(line for (line,) in explained)
    finally:
        await connection.close()


LAST = "uuid_of(3, 150000)"
FILTERS = {
    "item_id": "uuid_of(1, 7)",
    "price": "42",
    "status": "'paid'",
    "due": "'2021-01-01'",
    "paid_at": "'2020-01-02T00:00:00Z'",
    "links": "uuid_of(4, 1500)",
    "count_of": "2500",
}


def test_a_value_that_most_rows_have_is_found_in_the_order_of_the_pages(large: str) -> None:
    for name, value in (("status", "'shipped'"), ("links", "uuid_of(4, 1)")):
        plan = asyncio.run(plan_of(large, LINES.page((name,), ()), f"{LAST}, 100, {value}"))
        assert "Sort" not in plan
        assert "Bitmap" not in plan


@pytest.mark.parametrize(
    ("sql", "values", "index"),
    [
        (LINES.get, LAST, "order_lines_pkey"),
        (LINES.get_expanded(("item", "parent")), LAST, "order_lines_pkey"),
        (LINES.get_version, LAST, "order_lines_pkey"),
        (LINES.update, f"{LAST}, '{{}}', now()", "order_lines_pkey"),
        (LINES.update_version, f"{LAST}, '{{}}', now(), '7'", "order_lines_pkey"),
        (LINES.delete, LAST, "order_lines_pkey"),
        (LINES.delete_version, f"{LAST}, '7'", "order_lines_pkey"),
        (LINES.export, f"{LAST}, 1000", "order_lines_pkey"),
        (LINES.page((), ()), f"{LAST}, 100", "order_lines_pkey"),
        (LINES.taken(TABLES["order_lines"].column("number")), "ARRAY['a', 'b']", "order_lines_number_key"),
        (LINES.missing(TABLES["order_lines"].column("parent_id")), f"ARRAY[{LAST}]", "order_lines_pkey"),
        *(
            (LINES.page((name,), ()), f"{LAST}, 100, {value}", f"order_lines_{name}_idx")
            for name, value in FILTERS.items()
        ),
        (LINES.page(("status", "due"), ()), f"{LAST}, 100, 'paid', '2021-01-01'", "order_lines_"),
        (LINES.page(("links", "due"), ()), f"{LAST}, 100, uuid_of(4, 1500), '2021-01-01'", "order_lines_"),
        *(
            (
                referring(referrer),
                "ARRAY[uuid_of(2, 5)]",
                f"order_lines_{referrer.column.name}_idx",
            )
            for referrer in referrers_in([TABLES["order_lines"]])
        ),
    ],
)
def test_a_statement_finds_its_rows_by_an_index(large: str, sql: str, values: str, index: str) -> None:
    plan = asyncio.run(plan_of(large, sql, values))
    assert index in plan
    assert "Seq Scan" not in plan
    # Pages are in the order of the index; the index of a list has no order.
    assert "Sort" not in plan or "links" in sql


def test_references_are_looked_up_only_for_the_rows_of_the_page(large: str) -> None:
    relations = ("item", "buyer", "keeper", "parent")
    plan = asyncio.run(plan_of(large, LINES.page((), relations), f"{LAST}, 100"))
    assert "Seq Scan" not in plan
    assert plan.count("Index Scan") == 5
    assert plan.count("rows=1 loops=100)") + plan.count("rows=0 loops=100)") >= 4
    assert "loops=101" not in plan
