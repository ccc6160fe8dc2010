"""Deletions, and what becomes of the rows that refer to what is deleted."""

from tests.acceptance.resources.cases import FieldCase
from tests.acceptance.resources.grammar import Field, Resource
from tests.acceptance.resources.shop import Row, Rows, Shop
from tests.acceptance.service import body_of, must, must_answer


def referring(shop: Shop, case: FieldCase) -> tuple[Rows, Row, Rows, Row]:
    """Return a row that one other refers to with this field, and the other."""
    targets, rows = shop.of(case.field.of), shop.rows(case.resource)
    target = targets.create()
    return targets, target, rows, rows.create(**{case.field.name: target["id"]})


def test_a_deleted_row_is_gone(shop: Shop, resource: Resource) -> None:
    rows = shop.rows(resource)
    row = rows.create()
    rows.read(row["id"])
    answer = must_answer(rows.delete(row["id"]), 204, "a row can be deleted")
    must(answer.content == b"", "204 has no body", answer)
    rows.must_be_gone(row)
    must_answer(rows.delete(row["id"]), 404, "a row can be deleted once")
    promise = "a deleted row cannot be changed"
    # Without changes, it is a read.
    shop.service.within_bound(lambda: rows.patch(row["id"], {}).status_code == 404, promise)


def test_a_referenced_row_cannot_be_deleted(shop: Shop, restricted: FieldCase) -> None:
    targets, target, rows, row = referring(shop, restricted)
    must_answer(targets.delete(target["id"]), 409, f"{restricted} keeps the row that it refers to")
    targets.must_show(target)
    rows.must_show(row)
    must_answer(rows.delete(row["id"]), 204, "a row that refers to another can be deleted")
    must_answer(targets.delete(target["id"]), 204, "nothing refers to it any longer")


def test_a_row_without_references_to_it_can_be_deleted(shop: Shop, restricted: FieldCase) -> None:
    targets, target, rows, row = referring(shop, restricted)
    changes = {restricted.field.name: targets.create()["id"]}
    body_of(rows.patch(row["id"], changes), 200, f"{restricted} can refer to another row")
    must_answer(targets.delete(target["id"]), 204, "nothing refers to it any longer")


def test_rows_that_refer_to_a_deleted_row_are_deleted_too(shop: Shop, cascaded: FieldCase) -> None:
    targets, target, rows, row = referring(shop, cascaded)
    other = rows.create()
    rows.read(row["id"])
    must_answer(targets.delete(target["id"]), 204, f"{cascaded} goes with the row that it refers to")
    targets.must_be_gone(target)
    rows.must_be_gone(row)
    rows.must_show(other)


def test_references_to_a_deleted_row_become_null(shop: Shop, nulled: FieldCase) -> None:
    targets, target, rows, row = referring(shop, nulled)
    seen = rows.get(row["id"]).headers["ETag"]
    must_answer(targets.delete(target["id"]), 204, f"{nulled} lets the row go that it refers to")
    promise = f"{nulled} is null after the deletion"
    name = nulled.field.name
    read: list[Row] = []

    def is_null() -> bool:
        read.append(rows.read(row["id"]))
        return read[-1][name] is None

    shop.service.within_bound(is_null, promise)
    left = read[-1]
    assert left == row | {name: None, "updated_at": left["updated_at"]}, "nothing else changes"
    is_another = "the row is another than before"
    shop.service.within_bound(lambda: rows.get(row["id"], if_none_match=seen).status_code == 200, is_another)
    must_answer(rows.patch(row["id"], {}, seen), 412, is_another)


def test_a_refused_deletion_deletes_nothing(shop: Shop, restricted: FieldCase) -> None:
    """Rows that would go along with the target stay if one row keeps it."""
    targets, target, rows, row = referring(shop, restricted)
    along = [
        (shop.rows(resource), shop.rows(resource).create(**{field.name: target["id"]}))
        for resource, field in shop.references_to(targets.resource.plural)
        if field.on_delete != "restrict"
    ]
    must_answer(targets.delete(target["id"]), 409, f"{restricted} keeps the row that it refers to")
    for others, other in [*along, (targets, target), (rows, row)]:
        others.must_show(other)


def test_cascades_continue_through_several_references(shop: Shop, cascaded: FieldCase) -> None:
    targets, target, rows, row = referring(shop, cascaded)
    depending = [(field, *_dependent(shop, resource, field, row)) for resource, field in _of(shop, rows)]
    keeps = [each for each in depending if each[0].on_delete == "restrict"]
    answer = targets.delete(target["id"])
    must_answer(answer, 409 if keeps else 204, f"{cascaded} takes along what refers to it, if it may")
    for field, others, other in depending:
        if keeps:
            others.must_show(other)
        elif field.on_delete == "cascade":
            others.must_be_gone(other)
        else:
            assert others.read(other["id"])[field.name] is None


def _of(shop: Shop, rows: Rows) -> list[tuple[Resource, Field]]:
    return list(shop.references_to(rows.resource.plural))


def _dependent(shop: Shop, resource: Resource, field: Field, row: Row) -> tuple[Rows, Row]:
    rows = shop.rows(resource)
    return rows, rows.create(**{field.name: row["id"]})


def test_a_deletion_by_version_is_refused_for_another(shop: Shop, cascaded: FieldCase) -> None:
    targets, target, rows, row = referring(shop, cascaded)
    answer = targets.delete(target["id"], '"other"')
    must_answer(answer, 412, "the row has another entity tag")
    targets.must_show(target)
    rows.must_show(row)
