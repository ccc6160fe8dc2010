"""The contract's main paths, through the client that openapi-python-client generated: program.py URL."""

import sys
import time
from http import HTTPStatus
from uuid import UUID

from shop_client import Client
from shop_client.api.customers import create_customer
from shop_client.api.health import read_liveness
from shop_client.api.items import (
    change_item,
    create_item,
    create_items,
    export_items,
    list_items,
    read_item,
    remove_item,
    summarize_items,
)
from shop_client.api.order_lines import create_order_line, list_order_lines, remove_order_line
from shop_client.models import (
    Created,
    Customer,
    CustomerDraft,
    Item,
    ItemChanges,
    ItemDraft,
    ItemPage,
    ItemSummary,
    OrderLine,
    OrderLineDraft,
    OrderLinePage,
    Problem,
)

client = Client(base_url=sys.argv[1])
name = f"generated {time.time_ns()}"
draft = ItemDraft(name=name, price_cents=1250, tags=["generated"])

made = create_item.sync_detailed(client=client, body=draft)
assert made.status_code == HTTPStatus.CREATED
item = made.parsed
assert isinstance(item, Item)
assert made.headers["Location"] == f"/api/v1/items/{item.id}"

read = read_item.sync_detailed(item.id, client=client)
assert isinstance(read.parsed, Item)
assert read.parsed.name == name
assert read.parsed.description is None
etag = read.headers["ETag"]
assert (
    read_item.sync_detailed(item.id, client=client, if_none_match=etag).status_code == HTTPStatus.NOT_MODIFIED
)

changes = ItemChanges(price_cents=1300)
changed = change_item.sync(item.id, client=client, body=changes, if_match=etag)
assert isinstance(changed, Item)
assert (changed.price_cents, changed.name) == (1300, name)
late = change_item.sync(item.id, client=client, body=changes, if_match=etag)
assert isinstance(late, Problem)
assert late.status == HTTPStatus.PRECONDITION_FAILED

drafts = [ItemDraft(name=f"{name} {number}", price_cents=number, tags=[name]) for number in range(3)]
batch = create_items.sync(client=client, body=drafts)
assert isinstance(batch, Created)
assert batch.created == 3

found: list[UUID] = []
page = list_items.sync(client=client, limit=2, tags=name)
while isinstance(page, ItemPage):
    found += [each.id for each in page.items]
    page = list_items.sync(client=client, limit=2, tags=name, after=page.next_) if page.next_ else None
assert len(set(found)) == len(found) == 3

summary = summarize_items.sync(client=client)
assert isinstance(summary, ItemSummary)
assert summary.count >= 4
assert isinstance(summary.price_cents.mean, float)
assert all(each.count > 0 for each in summary.tags)

assert name.encode() in export_items.sync_detailed(client=client).content

taken = create_item.sync(client=client, body=draft)
assert isinstance(taken, Problem)
assert (taken.status, taken.field) == (HTTPStatus.CONFLICT, "name")
invalid = create_item.sync(client=client, body=ItemDraft(name=name, price_cents=-1))
assert isinstance(invalid, Problem)
assert invalid.status == HTTPStatus.UNPROCESSABLE_ENTITY
assert invalid.errors
assert invalid.errors[0].loc[-1] == "price_cents"

person = create_customer.sync(client=client, body=CustomerDraft(email=f"{name}@example.com"))
assert isinstance(person, Customer)
assert person.vip is False
line = create_order_line.sync(
    client=client,
    body=OrderLineDraft(number=name, item_id=item.id, buyer_id=person.id, quantity=2, price="19.9"),
)
assert isinstance(line, OrderLine)
assert (line.price, line.status) == ("19.90", "open")
lines = list_order_lines.sync(client=client, item_id=item.id, price="19.90", expand="item,buyer")
assert isinstance(lines, OrderLinePage)
assert isinstance(lines.items[0].item, Item)
assert lines.items[0].item.name == name

assert remove_item.sync_detailed(item.id, client=client).status_code == HTTPStatus.CONFLICT
assert remove_order_line.sync_detailed(line.id, client=client).status_code == HTTPStatus.NO_CONTENT
assert remove_item.sync_detailed(item.id, client=client).status_code == HTTPStatus.NO_CONTENT
missing = read_item.sync(item.id, client=client)
assert isinstance(missing, Problem)
assert missing.title == "Not Found"

live = read_liveness.sync_detailed(client=client, x_request_id="generated")
assert live.headers["X-Request-ID"] == "generated"
