"""Takes a service through every route of its resources, with values at the bounds of every field.

What is sent and expected follows from the fields as the grammar reads them, and not from the rendered code.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import httpx2

Field = Mapping[str, Any]
Noun = Mapping[str, Any]
Row = dict[str, Any]
MAX_EXACT = 2**53 - 1
# More elements show nothing new.
MOST_ELEMENTS = 30
# A larger value is more than a service takes of any body.
LARGEST_JSON = 100_000
NOWHERE = "ffffffff-ffff-7fff-bfff-ffffffffffff"
OF_ROW: dict[str, tuple[Any, Any]] = {
    "bool": (False, True),
    "date": ("0001-01-01", "9999-12-31"),
    "datetime": ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"),
    "uuid": ("00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
}
REFUSED_BY_KIND: dict[str, list[Any]] = {
    "str": [1, "a\0"],
    "int": ["1", 1.5, True, MAX_EXACT + 1, -MAX_EXACT - 1],
    "float": ["1", True],
    "decimal": [1, "1e3", "1.", "+1"],
    "bool": [0, "true"],
    "date": ["2026-02-30", "2026-01-01T00:00:00Z", 0],
    "datetime": ["2026-01-01T00:00:00", "2026-01-01", 0],
    "uuid": ["x", "{00000000-0000-0000-0000-000000000000}"],
    "ref": ["x"],
    "enum": ["no such word", ""],
    "json": [],
}


def decimal_text(units: int, places: int) -> str:
    """Return a decimal as JSON has it, given in units of its last place."""
    return f"{Decimal(units).scaleb(-places):f}"


def bounds_of(of: Field) -> tuple[Any, Any]:
    """Return the smallest and the largest number of a field; decimals in units of the last place."""
    if of["kind"] == "decimal":
        largest = 10 ** of["digits"] - 1
        units = [each and int(Decimal(each).scaleb(of["places"])) for each in (of["min"], of["max"])]
        low, high = (None if each is None else int(each) for each in units)
    else:
        largest = MAX_EXACT if of["kind"] == "int" else 1e300
        low, high = of["min"], of["max"]
    return -largest if low is None else low, largest if high is None else high


def scalar(of: Field, row: int) -> Any:
    """Return the smallest value of a field for row 0, the largest for row 1."""
    match of["kind"]:
        case "str":
            least, most = (1, of["max_each"]) if of["list"] else (of["min"], of["max"])
            return ("a" * least, "é" * most)[row]
        case "int" if of["list"]:
            return (-MAX_EXACT, MAX_EXACT)[row]
        case "int" | "float":
            return bounds_of(of)[row]
        case "decimal":
            return decimal_text(bounds_of(of)[row], of["places"])
        case "enum":
            return of["words"][-row]
        case "json":
            small = "é" * ((of["max"] - 2) // 2)
            return (0, small if of["max"] < MOST_ELEMENTS else {"a": [1.5, None, "é"]})[row]
        case kind:
            return OF_ROW[kind][row]


def value_of(of: Field, row: int) -> Any:
    """Return the value that a row has in a field without a reference."""
    if not of["list"]:
        return scalar(of, row)
    return ([], [scalar(of, each % 2) for each in range(min(of["max"], MOST_ELEMENTS))])[row]


def refused_values(of: Field) -> Iterator[Any]:
    """Yield values that a field cannot have."""
    if not of["optional"] and (of["kind"] != "json" or of["list"]):
        yield None
    if of["list"]:
        yield scalar(of, 0)
        yield [scalar(of, 0)] * (of["max"] + 1)
        yield from ([each] for each in REFUSED_BY_KIND[of["kind"]])
        return
    yield from REFUSED_BY_KIND[of["kind"]]
    if of["kind"] == "str":
        yield "a" * (of["max"] + 1)
        yield from ["a" * (of["min"] - 1)] if of["min"] else []
    if of["kind"] == "int":
        low, high = bounds_of(of)
        yield from (low - 1, high + 1)
    if of["kind"] == "float":
        yield from (bound + by for bound, by in ((of["min"], -1.0), (of["max"], 1.0)) if bound is not None)
    if of["kind"] == "decimal":
        low, high = bounds_of(of)
        yield from (decimal_text(each, of["places"]) for each in (low - 1, high + 1))
        yield decimal_text(low * 10 + 1, of["places"] + 1)
    if of["kind"] == "json" and of["max"] < LARGEST_JSON:
        yield "a" * (of["max"] - 1)


@dataclass
class Walk:
    """A way through a service; `requests` counts."""

    url: str
    # In the order of their references.
    nouns: Sequence[Noun]
    # What the service asks of its callers, if anything.
    token: str = field(default="", repr=False)
    requests: int = 0
    rows: dict[str, list[Row]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Open a connection."""
        # Entity tags of compressed responses are weak, so nothing can be changed by them.
        headers = {"Accept-Encoding": "identity"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        self.client = httpx2.Client(
            base_url=f"{self.url}/api/v1", headers=headers, trust_env=False, timeout=30
        )

    def ask(self, expected: int, method: str, path: str, **named: Any) -> httpx2.Response:
        """Return the response, which has this status."""
        self.requests += 1
        response = self.client.request(method, path, **named)
        said = f"{method} {path} {str(named)[:600]}: {response.status_code} {response.text[:600]}"
        assert response.status_code == expected, said
        return response

    def there(self) -> None:
        """Take all routes; the first row of each resource stays."""
        for noun in self.nouns:
            self.create(noun)
        for noun in self.nouns:
            self.refuse(noun)
            self.read(noun)
            self.change(noun)
            self.list(noun)
            self.collect(noun)
        for noun in self.nouns:
            self.refuse_delete(noun)
        for noun in reversed(self.nouns):
            self.delete(noun)

    def back(self, lost: Mapping[str, Sequence[str]]) -> None:
        """Read the rows that stayed, and change each to what it is; these fields may have changed."""
        for noun in [noun for noun in self.nouns if noun["plural"] in self.rows]:
            path, (row, *_) = f"/{noun['path']}", self.rows[noun["plural"]]
            read = self.ask(200, "GET", f"{path}/{row['id']}").json()
            known = row.keys() & read.keys() - {"updated_at", *lost.get(noun["plural"], ())}
            assert {name: read[name] for name in known} == {name: row[name] for name in known}
            # A required reference that was dropped comes back as null.
            same = {
                each["name"]: read[each["name"]]
                for each in noun["fields"]
                if each["optional"] or read[each["name"]] is not None
            }
            changed = self.ask(200, "PATCH", f"{path}/{row['id']}", json=same).json()
            assert changed | same == changed
            assert row["id"] in [each["id"] for each in self.ask(200, "GET", path).json()["items"]]

    def draft(self, noun: Noun, row: int) -> Row:
        """Return what is sent: for row 0, only what has to be."""
        sent: Row = {}
        for each in noun["fields"]:
            if row == 0 and (each["optional"] or each["has_default"]):
                continue
            if each["target"]:
                is_there = each["target"] != noun["plural"] and not each["is_late"]
                sent[each["name"]] = self.rows[each["target"]][row]["id"] if is_there else None
            else:
                sent[each["name"]] = value_of(each, row)
        return sent

    def create(self, noun: Noun) -> None:
        """Create two rows."""
        path, rows = f"/{noun['path']}", self.rows.setdefault(noun["plural"], [])
        for number in (0, 1):
            sent = self.draft(noun, number)
            created = self.ask(201, "POST", path, json=sent)
            row = created.json()
            defaults = {each["name"]: each["default"] for each in noun["fields"]}
            self.assert_row(noun, row, defaults | sent)
            rows.append(row)
        if any(each["unique"] and rows[1][each["name"]] is not None for each in noun["fields"]):
            self.ask(409, "POST", path, json=self.draft(noun, 1))

    def assert_row(self, noun: Noun, row: Row, expected: Row) -> None:
        """Assert that the row has these values, in the form that the service has them."""
        for each in noun["fields"]:
            want = expected[each["name"]]
            if each["kind"] == "decimal" and want is not None:
                want = decimal_text(int(Decimal(want).scaleb(each["places"])), each["places"])
            assert row[each["name"]] == want, (noun["name"], each["text"], row[each["name"]], want)

    def refuse(self, noun: Noun) -> None:
        """Send what fields cannot have, one at a time."""
        valid = self.draft(noun, 1)
        for each in noun["fields"]:
            for value in refused_values(each):
                refused = self.ask(422, "POST", f"/{noun['path']}", json={**valid, each["name"]: value})
                at = refused.json()["errors"][0]["loc"][:2]
                assert at == ["body", each["name"]], f"{each['text']} {value!r}: {refused.text}"
            if not each["optional"] and not each["has_default"]:
                without = {name: value for name, value in valid.items() if name != each["name"]}
                refused = self.ask(422, "POST", f"/{noun['path']}", json=without)
                assert refused.json()["errors"][0]["loc"] == ["body", each["name"]]
        self.ask(422, "POST", f"/{noun['path']}", json={**valid, "no_such_field": 1})

    def read(self, noun: Noun) -> None:
        """Read each row, again with its entity tag, and with what it refers to."""
        relations = [each for each in noun["fields"] if each["target"]]
        for row in self.rows[noun["plural"]]:
            path = f"/{noun['path']}/{row['id']}"
            read = self.ask(200, "GET", path)
            assert read.json() == row
            self.ask(304, "GET", path, headers={"If-None-Match": read.headers["etag"]})
            if relations:
                expand = ",".join(each["relation"] for each in relations)
                expanded = self.ask(200, "GET", path, params={"expand": expand}).json()
                self.assert_expanded(relations, row, expanded)
        self.ask(404, "GET", f"/{noun['path']}/{NOWHERE}")

    def assert_expanded(self, relations: Sequence[Field], row: Row, expanded: Row) -> None:
        """Assert that the row has what it refers to."""
        assert {name: expanded[name] for name in row} == row
        for each in relations:
            found = expanded[each["relation"]]
            assert (found and found["id"]) == row[each["name"]]

    def change(self, noun: Noun) -> None:
        """Change the second row to what it is, and only if it is what it was."""
        row = self.rows[noun["plural"]][1]
        path, sent = f"/{noun['path']}/{row['id']}", self.draft(noun, 1)
        etag = self.ask(200, "GET", path).headers["etag"]
        self.ask(412, "PATCH", path, json=sent, headers={"If-Match": '"another"'})
        changed = self.ask(200, "PATCH", path, json=sent, headers={"If-Match": etag}).json()
        self.assert_row(noun, changed, row | sent)
        self.rows[noun["plural"]][1] = changed
        for each in noun["fields"]:
            refused = [*list(refused_values(each))[:1], *([NOWHERE] if each["target"] else [])]
            for value in refused:
                self.ask(422, "PATCH", path, json={each["name"]: value})

    def list(self, noun: Noun) -> None:
        """Page through the rows, and ask for those with each value that can be asked for, and with all."""
        path, rows = f"/{noun['path']}", self.rows[noun["plural"]]
        first = self.ask(200, "GET", path, params={"limit": 1}).json()
        second = self.ask(200, "GET", path, params={"limit": 1, "after": first["next"]}).json()
        assert [*first["items"], *second["items"]] == rows[::-1]
        filters = {each["name"]: self.asked(each, rows[1]) for each in noun["fields"] if each["filter"]}
        filters = {name: value for name, value in filters.items() if value is not None}
        relations = [each for each in noun["fields"] if each["target"]]
        expand = {"expand": ",".join(each["relation"] for each in relations)} if relations else {}
        for params in ({name: value} for name, value in filters.items()):
            found = self.ask(200, "GET", path, params=params).json()["items"]
            assert rows[1] in found, (params, found)
            assert rows[0] not in found or self.have_in_common(noun, rows, next(iter(params)))
        (found, *_) = self.ask(200, "GET", path, params=filters | expand).json()["items"]
        self.assert_expanded(relations, rows[1], found)

    def asked(self, of: Field, row: Row) -> Any:
        """Return what to ask for to find the row; None if it has no value."""
        value = row[of["name"]]
        value = (value or [None])[0] if of["list"] else value
        return str(value).lower() if isinstance(value, bool) else value

    def have_in_common(self, noun: Noun, rows: Sequence[Row], name: str) -> bool:
        """Return whether both rows have the value of the second."""
        of = next(each for each in noun["fields"] if each["name"] == name)
        if of["list"]:
            return rows[1][name][0] in (rows[0][name] or [])
        return bool(rows[0][name] == rows[1][name])

    def collect(self, noun: Noun) -> None:
        """Take the routes over all rows that the resource has."""
        path, rows = f"/{noun['path']}", self.rows[noun["plural"]]
        if "export" not in noun["without"]:
            lines = self.ask(200, "GET", f"{path}/export").text.splitlines()
            assert [json.loads(line) for line in lines] == rows[::-1]
        else:
            self.ask(422, "GET", f"{path}/export")
        if "summary" not in noun["without"]:
            summary = self.ask(200, "GET", f"{path}/summary").json()
            assert summary["count"] == len(rows)
            self.assert_summary(noun, rows, summary)
        if "batch" not in noun["without"]:
            refused = [self.draft(noun, 1), {"no_such_field": 1}]
            self.ask(422, "POST", f"{path}/batch", json=refused)
            assert len(self.ask(200, "GET", path).json()["items"]) == len(rows)

    def assert_summary(self, noun: Noun, rows: Sequence[Row], summary: Row) -> None:
        """Assert that numbers have their bounds and that counted fields have their values."""
        for each in noun["fields"]:
            given = [row[each["name"]] for row in rows if row[each["name"]] is not None]
            if each["kind"] in ("int", "float", "decimal") and not each["list"]:
                key = Decimal if each["kind"] == "decimal" else None
                want = (min(given, key=key), max(given, key=key)) if given else (None, None)
                figures = summary[each["name"]]
                assert (figures["min"], figures["max"]) == want, (each["text"], figures, want)
            if each["kind"] in ("enum", "bool") and not each["list"]:
                counts = {count["value"]: count["count"] for count in summary[each["name"]]}
                assert counts == {value: given.count(value) for value in given}

    def refuse_delete(self, noun: Noun) -> None:
        """Delete a row that others refer to, which refuse that."""
        row = self.rows[noun["plural"]][1]
        referring = [
            each
            for other in self.nouns
            for each in other["fields"]
            if each["target"] == noun["plural"] and self.rows[other["plural"]][1][each["name"]] == row["id"]
        ]
        if referring and all(each["on_delete"] == "restrict" for each in referring):
            self.ask(409, "DELETE", f"/{noun['path']}/{row['id']}")

    def delete(self, noun: Noun) -> None:
        """Delete the second row."""
        row = self.rows[noun["plural"]].pop()
        self.ask(204, "DELETE", f"/{noun['path']}/{row['id']}")
        self.ask(404, "GET", f"/{noun['path']}/{row['id']}")
        self.ask(404, "DELETE", f"/{noun['path']}/{row['id']}")
