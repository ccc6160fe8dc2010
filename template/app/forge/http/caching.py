"""What caches may do with an answer (RFC 9111), and how a client asks whether it still has the newest (RFC 9110, 13).

An answer that says nothing may be kept by any cache between here and the client, for as long as that cache likes.
"""

from hashlib import sha256

from starlette.types import Scope

RawHeaders = list[tuple[bytes, bytes]]

NO_STORE = (b"cache-control", b"no-store")
# May be kept, but must not be used before the service was asked: an entity tag makes that cheap.
NO_CACHE = (b"cache-control", b"no-cache")

SAYS = frozenset({b"cache-control", b"expires"})
VALIDATORS = frozenset({b"etag", b"last-modified"})


def entity_tag(body: bytes) -> str:
    """Return the strong entity tag of the body, a digest of every byte, so that all workers give the same."""
    # A page of 100 items takes half the time of blake2b where the processor knows SHA-256, as most do.
    return f'"{sha256(body).hexdigest()[:24]}"'


def is_known(scope: Scope, etag: str) -> bool:
    """Return whether the request's `If-None-Match` names the tag, so that 304 is the answer."""
    # Several headers of this name are one list (RFC 9110, section 5.3).
    given = [value for name, value in scope["headers"] if name == b"if-none-match"]
    if not given:
        return False
    # Most clients repeat the one tag that they have.
    return given == [etag.encode()] or _matches(b", ".join(given).decode("latin-1"), etag)


def _matches(if_none_match: str, etag: str) -> bool:
    """Return whether the header names the tag, by weak comparison (RFC 9110, section 13.1.2)."""
    if if_none_match.strip() in ("*", etag):
        return True
    return any(tag.strip().removeprefix("W/") == etag for tag in if_none_match.split(","))


def say_what_caches_may_do(status: int, headers: RawHeaders) -> None:
    """Add `Cache-Control` to an answer that says nothing: what its route says stays as it is."""
    names = {name.lower() for name, _ in headers}
    if names.isdisjoint(SAYS):
        can_be_asked_for = status == 304 or not names.isdisjoint(VALIDATORS)
        headers.append(NO_CACHE if can_be_asked_for else NO_STORE)


def matches(if_match: str, etag: str) -> bool:
    """Return whether the header `If-Match` names the tag, by strong comparison (RFC 9110, section 13.1.1)."""
    return if_match.strip() == "*" or etag in (tag.strip() for tag in if_match.split(","))
