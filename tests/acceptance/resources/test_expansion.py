"""`?expand=`: the rows that a row refers to, in the same answer."""

from tests.acceptance.resources.cases import FieldCase
from tests.acceptance.resources.grammar import Resource
from tests.acceptance.resources.shop import Row, Rows, Shop, ids, must_blame
from tests.acceptance.resources.test_change import a_change
from tests.acceptance.service import body_of, must, must_answer


def expanded(shop: Shop, resource: Resource, row: Row, *relations: str) -> Row:
    """Return the row as it must be with these relations."""
    fields = {field.relation: field for field in resource.references}
    targets = {relation: row[fields[relation].name] for relation in relations}
    return row | {
        relation: target and shop.of(fields[relation].of).read(target) for relation, target in targets.items()
    }


def relations(resource: Resource) -> list[str]:
    """Return the names of all relations."""
    return [field.relation for field in resource.references]


def test_a_read_has_the_row_that_it_refers_to(shop: Shop, reference: FieldCase) -> None:
    rows, relation = shop.rows(reference.resource), reference.field.relation
    row = rows.create()
    found = rows.read(row["id"], expand=relation)
    assert found == expanded(shop, reference.resource, row, relation), f"{reference} is expanded in full"
    assert relation not in rows.read(row["id"]), "what was not asked for is not there"


def test_a_page_has_the_rows_that_its_rows_refer_to(shop: Shop, reference: FieldCase) -> None:
    rows, relation = shop.rows(reference.resource), reference.field.relation
    created = [rows.create() for _ in range(3)]
    page = rows.page(limit=3, expand=relation)
    expected = [expanded(shop, reference.resource, row, relation) for row in created[::-1]]
    assert page["items"] == expected, f"{reference} is expanded in a page"
    assert all(relation not in row for row in rows.page(limit=3)["items"])


def test_a_reference_to_nothing_expands_to_null(shop: Shop, reference: FieldCase) -> None:
    if not reference.field.is_optional:
        return
    rows, relation = shop.rows(reference.resource), reference.field.relation
    row = rows.create(**{reference.field.name: None})
    assert rows.read(row["id"], expand=relation) == row | {relation: None}
    assert rows.page(limit=1, expand=relation)["items"] == [row | {relation: None}]


def test_several_relations_are_expanded_at_once(shop: Shop, with_references: Resource) -> None:
    rows = shop.rows(with_references)
    row, names = rows.create(), relations(with_references)
    for chosen in (names, names[::-1], names[:2], names[-1:]):
        expected = expanded(shop, with_references, row, *chosen)
        assert rows.read(row["id"], expand=",".join(chosen)) == expected, f"expand={','.join(chosen)}"
        assert rows.page(limit=1, expand=",".join(chosen))["items"] == [expected]


def test_an_expanded_page_is_walked_and_filtered_as_any_other(shop: Shop, with_references: Resource) -> None:
    rows, names = shop.rows(with_references), ",".join(relations(with_references))
    for _ in range(5):
        rows.create()
    plain = rows.walk(limit=100)
    found = rows.walk({"expand": names}, limit=3)
    assert [{name: row[name] for name in plain[0]} for row in found] == plain
    for field in with_references.filters:
        value = found[0][field.name]
        if isinstance(value, str):
            query = {field.name: value}
            also = f"the filter {field.name} finds the same rows with expand"
            assert ids(rows.walk(query)) == ids(rows.walk({"expand": names, **query})), also


def test_an_unknown_relation_is_refused(shop: Shop, with_references: Resource) -> None:
    rows = shop.rows(with_references)
    row, known = rows.create(), relations(with_references)[0]
    for unknown in ("stranger", f"{known},stranger", f"{known}_id", known.upper(), f"{known}.{known}"):
        promise = f"expand={unknown} is refused"
        must_blame(rows.get(row["id"], {"expand": unknown}), ["query", "expand"], promise)
        must_blame(rows.get_page(expand=unknown), ["query", "expand"], promise)


def test_a_changed_row_is_shown_where_it_is_expanded(shop: Shop, reference: FieldCase) -> None:
    rows, targets = shop.rows(reference.resource), shop.of(reference.field.of)
    target = targets.create()
    row = rows.create(**{reference.field.name: target["id"]})
    query = {"expand": reference.field.relation}
    seen = rows.get(row["id"], query)
    changed = body_of(targets.patch(target["id"], a_change(targets, target)), 200, "a row can be changed")
    _must_show(rows, row, query, row | {reference.field.relation: changed})
    again = rows.get(row["id"], query, if_none_match=seen.headers["ETag"])
    must_answer(again, 200, "what is expanded is part of what the entity tag names")
    known = rows.get(row["id"], query, if_none_match=again.headers["ETag"])
    must_answer(known, 304, "the client has the row and what it refers to")


def test_a_row_with_and_without_expansion_has_two_entity_tags(shop: Shop, with_references: Resource) -> None:
    rows = shop.rows(with_references)
    row = rows.create()
    plain = rows.get(row["id"])
    found = rows.get(row["id"], {"expand": relations(with_references)[0]})
    must(plain.headers["ETag"] != found.headers["ETag"], "two documents have two entity tags", found)


def test_a_row_that_lost_a_reference_is_expanded_without_it(shop: Shop, nulled: FieldCase) -> None:
    rows, targets = shop.rows(nulled.resource), shop.of(nulled.field.of)
    target = targets.create()
    row = rows.create(**{nulled.field.name: target["id"]})
    query = {"expand": nulled.field.relation}
    rows.read(row["id"], **query)
    must_answer(targets.delete(target["id"]), 204, f"{nulled} lets the row go")
    promise = "a reference that was lost expands to null"
    relation = nulled.field.relation
    shop.service.within_bound(lambda: rows.get(row["id"], query).json()[relation] is None, promise)


def _must_show(rows: Rows, row: Row, query: dict[str, str], expected: Row) -> None:
    promise = "a change is shown where the row is expanded"
    rows.service.within_bound(lambda: rows.get(row["id"], query).json() == expected, promise)
