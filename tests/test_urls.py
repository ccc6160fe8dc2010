"""The service parses any URL correctly or refuses it, and never repeats a password."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.repository import TEMPLATE

PASSWORD = "s3cr3t-horse-staple"
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
# Parts in which escaping is often forgotten.
AWKWARD = st.text("/?#@:%&=[]; ab1", max_size=6)


def loaded(name: str) -> Any:
    """Return a module of the template that imports nothing else of the application."""
    path = TEMPLATE / "app/forge" / name
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[path.stem] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


redis_url = loaded("cache/redis_url.py")
mongodb_url = loaded("database/mongodb_url.py")
sqlite_url = loaded("database/sqlite_url.py")


@given(parts=st.lists(st.text(min_size=1, max_size=8).filter(lambda text: "\0" not in text), min_size=1))
def test_a_path_survives_a_sqlite_url(parts: list[str]) -> None:
    path = "/nowhere/" + "".join(parts).encode(errors="replace").decode() + ".db"
    assert sqlite_url.database_path(f"sqlite:///{quote(path)}") == Path(path)


@given(user=TEXT, password=TEXT)
def test_a_user_and_a_password_survive_a_redis_url(user: str, password: str) -> None:
    url = f"redis://{quote(user, safe='')}:{quote(password, safe='')}@host:1/2"
    options = redis_url.connection_options(url)
    assert (options.get("username", ""), options.get("password", "")) == (user, password)


REFUSING: list[tuple[Callable[[str], object], str]] = [
    (redis_url.connection_options, "redis://"),
    (redis_url.connection_options, "rediss://"),
    (mongodb_url.check_url, "mongodb://"),
    (mongodb_url.check_url, "mongodb+srv://"),
]


@pytest.mark.parametrize(("read", "scheme"), REFUSING, ids=[scheme for _, scheme in REFUSING])
@given(before=AWKWARD, after=AWKWARD, rest=st.text("/?#@:%&=ab1.", max_size=12))
def test_no_error_repeats_a_password(
    read: Callable[[str], object], scheme: str, before: str, after: str, rest: str
) -> None:
    try:
        read(f"{scheme}user:{before}{PASSWORD}{after}@host{rest}")
    except ValueError as refusal:
        assert PASSWORD not in str(refusal)
        assert refusal.__cause__ is None
