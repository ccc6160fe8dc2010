"""The text that fields accept, compared with the grammars of RFC 3339 and RFC 9562."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from importlib import import_module
from typing import Annotated, Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError, create_model

from tests.repository import TEMPLATE

Readers = dict[type, tuple[TypeAdapter[Any], type[Any]]]

GRAMMARS = {
    UUID: r"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}",
    date: r"\d{4}-\d{2}-\d{2}",
    datetime: r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})",
    Decimal: r"-?\d+(\.\d+)?",
}
# Texts that lenient parsers accept.
NEARLY = [
    "1700000000",
    "1700000000.5",
    "2026-02-30",
    "2026-11-27 12:00:00Z",
    "2026-11-27T12:00:00",
    "2026-11-27T12:00Z",
    "2026-11-27T24:00:00Z",
    "2026-11-27T23:59:60Z",
    "2026-11-27T12:00:00.Z",
    "2026-11-27T12:00:00,5Z",
    "2026-11-27T12:00:00+0100",
    "2026-11-27T12:00:00+01",
    "2026-11-27T12:00:00+24:00",
    "2026-11-27T12:00:00Z ",
    "2026-W48-5",
    "20261127",
    "2026-331",
    "+2026-11-27",
    "0000-01-01",
    "\u0662\u0660\u0662\u0666-\u0661\u0661-\u0662\u0667",
    "urn:uuid:01890a5d-ac96-774b-bcce-b302099a8057",
    "{01890a5d-ac96-774b-bcce-b302099a8057}",
    "01890a5dac96774bbcceb302099a8057",
    "01890a5d-ac96-774b-bcce-b302099a805g",
    "1e3",
    "1_000",
    ".5",
    "5.",
    "+5",
    "NaN",
    "Infinity",
    "0x10",
    "",
    " ",
]
OFFSETS = st.one_of(
    st.sampled_from(["Z", "z", "-00:00"]),
    st.builds("{}{:02}:{:02}".format, st.sampled_from("+-"), st.integers(0, 23), st.integers(0, 59)),
)
# Far enough from the first and last year for every offset.
TIMES = st.datetimes(datetime.min + timedelta(days=2), datetime.max - timedelta(days=2))  # noqa: DTZ901
FRACTIONS = st.from_regex(r"(\.[0-9]{1,12})?", fullmatch=True)


KINDS = (UUID, date, datetime, Decimal)


@pytest.fixture(scope="module")
def readers() -> Iterator[Readers]:
    """Yield two readers of each type: the ready-made field, and its plain annotation in a body."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(TEMPLATE))
        # They need nothing but Pydantic.
        bodies, fields = import_module("app.forge.bodies"), import_module("app.forge.fields")

        decimal = Annotated[Decimal, fields.Exact(digits=40, places=20)]
        ready = {UUID: fields.Reference, date: fields.Day, datetime: fields.Moment, Decimal: decimal}
        in_bodies = {kind: create_model("InBody", __base__=bodies.Body, field=(kind, ...)) for kind in KINDS}
        yield {kind: (TypeAdapter(ready[kind]), in_bodies[kind]) for kind in KINDS}
        for name in [name for name in sys.modules if name.partition(".")[0] == "app"]:
            del sys.modules[name]


def read(readers: Readers, kind: type, text: str) -> tuple[Any, Any]:
    """Return the text as the ready-made field reads it, and as a body does."""
    ready, in_body = readers[kind]
    return ready.validate_python(text), in_body.model_validate({"field": text}).field


def is_refused(readers: Readers, kind: type, value: object) -> bool:
    """Return whether both refuse the value, and fail if they disagree."""
    ready, in_body = readers[kind]
    refused = []
    for validate, given_value in ((ready.validate_python, value), (in_body.model_validate, {"field": value})):
        try:
            validate(given_value)
            refused.append(False)
        except ValidationError as error:
            refused.append(len(error.errors()) == 1)
    assert len(set(refused)) == 1, f"{value!r} is read as {kind.__name__} by only one of them"
    return refused[0]


@given(st.uuids())
def test_every_uuid_is_read_in_either_case(readers: Readers, uuid: UUID) -> None:
    assert {*read(readers, UUID, str(uuid)), *read(readers, UUID, str(uuid).upper())} == {uuid}


@given(st.dates())
def test_every_date_is_read(readers: Readers, day: date) -> None:
    assert set(read(readers, date, day.isoformat())) == {day}


@given(TIMES, FRACTIONS, OFFSETS, st.sampled_from("Tt"))
def test_every_date_time_of_rfc_3339_is_read(
    readers: Readers, time: datetime, fraction: str, offset: str, between: str
) -> None:
    text = time.replace(microsecond=0).isoformat().replace("T", between) + fraction + offset
    micros = int(fraction[1:7].ljust(6, "0") or "0")
    meant = datetime.fromisoformat(f"{text[:19].upper()}{'+00:00' if offset in 'Zz' else offset}")
    moment, plain = read(readers, datetime, text)
    assert plain == meant.replace(microsecond=micros)
    assert moment == meant.replace(microsecond=micros // 1_000 * 1_000)
    assert moment.utcoffset() == timedelta(0)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**12), max_value=10**12))
def test_every_decimal_is_read_exactly(readers: Readers, number: Decimal) -> None:
    assert set(read(readers, Decimal, f"{number:f}")) == {number}


@given(st.decimals(allow_nan=False, allow_infinity=False, places=20, min_value=-1, max_value=1))
def test_every_decimal_is_written_as_it_is_read(readers: Readers, number: Decimal) -> None:
    ready, _ = readers[Decimal]
    written = json.loads(ready.dump_json(ready.validate_python(f"{number:f}")))
    assert re.fullmatch(r"-?[01]\.[0-9]{20}", written)
    assert Decimal(written) == number
    assert written.startswith("-") == (number < 0)


@pytest.mark.parametrize("kind", KINDS)
@given(st.one_of(st.sampled_from(NEARLY), st.text(), *(st.from_regex(g) for g in GRAMMARS.values())))
def test_text_outside_the_grammar_is_refused(readers: Readers, kind: type, text: str) -> None:
    if not re.fullmatch(GRAMMARS[kind], text, re.ASCII):
        assert is_refused(readers, kind, text)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", NEARLY)
def test_text_similar_to_a_valid_one_is_refused(readers: Readers, kind: type, text: str) -> None:
    fits = kind is Decimal and text in {"1700000000", "1700000000.5", "20261127"}
    assert is_refused(readers, kind, text) != fits


@pytest.mark.parametrize("kind", KINDS)
@given(st.one_of(st.integers(), st.floats(), st.booleans(), st.none(), st.lists(st.text()), st.just({})))
def test_values_that_are_not_text_are_refused(readers: Readers, kind: type, value: object) -> None:
    assert is_refused(readers, kind, value)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01"])
def test_a_moment_beyond_the_years_of_python_is_refused(readers: Readers, text: str) -> None:
    with pytest.raises(ValidationError, match="out of range in UTC"):
        readers[datetime][0].validate_python(text)
