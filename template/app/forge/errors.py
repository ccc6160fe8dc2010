"""The errors that a service can report. `app.forge.http.problems` turns them into responses."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, ClassVar, Self


class ServiceError(Exception):
    """The base class of errors that become error responses. `detail` explains this occurrence."""

    status: ClassVar[HTTPStatus]
    type: ClassVar[str] = "about:blank"
    # Added to the members that RFC 9457 defines.
    members: Mapping[str, Any] = {}

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class NotFound(ServiceError):
    """The row does not exist."""

    status = HTTPStatus.NOT_FOUND

    @classmethod
    def of(cls, noun: str, row_id: object) -> Self:
        """Return the error of a table that has no row with this id."""
        return cls(f"No {noun} has the id {row_id}.")


class Taken(ServiceError):
    """Another row already has this value in a unique field."""

    status = HTTPStatus.CONFLICT
    type = "urn:problem:taken"

    def __init__(self, detail: str, field: str) -> None:
        super().__init__(detail)
        self.members = {"field": field}

    @classmethod
    def of(cls, field: str, value: object) -> Self:
        """Return the error of a value that another row has."""
        shown = repr(value) if isinstance(value, str) else value
        return cls(f"The {field} {shown} is taken.", field)


class MissingReference(ServiceError):
    """A field refers to a row that does not exist. The response is that of any invalid field."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY

    def __init__(self, noun: str, field: str, value: object, index: int | None = None) -> None:
        """In a batch, `index` is the position of the row."""
        where = ["body", field] if index is None else ["body", index, field]
        message = f"No {noun} has the id {value}."
        super().__init__(f"{'.'.join(map(str, where))}: {message}")
        self.members = {"errors": [{"loc": where, "msg": message}]}


class Referenced(ServiceError):
    """The row cannot be deleted because other rows refer to it."""

    status = HTTPStatus.CONFLICT
    type = "urn:problem:referenced"

    @classmethod
    def of(cls, noun: str, row_id: object, by: str) -> Self:
        """Return the error of a row that rows refer to; `by` describes one of them."""
        return cls(f"The {noun} {row_id} cannot be removed: at least one {by} refers to it.")


class PreconditionFailed(ServiceError):
    """`If-Match` does not name the current entity tag of the row."""

    status = HTTPStatus.PRECONDITION_FAILED

    @classmethod
    def of(cls, noun: str, row_id: object) -> Self:
        """Return the error of a row that has changed."""
        return cls(f"The {noun} {row_id} has another entity tag than If-Match names.")


class Unavailable(ServiceError):
    """A dependency does not respond. The client may retry shortly.

    Raise it `from` the original error: `app.forge.database.outages` logs that cause once per outage of `dependency`.
    """

    status = HTTPStatus.SERVICE_UNAVAILABLE
    type = "urn:problem:unavailable"

    def __init__(self, detail: str, dependency: str = "database") -> None:
        super().__init__(detail)
        self.dependency = dependency


class TransactionConflict(ServiceError):
    """A concurrent transaction changed the same rows. Nothing was committed, so it is safe to retry."""

    status = HTTPStatus.CONFLICT
    type = "urn:problem:transaction-conflict"


class OutcomeUnknown(Unavailable):
    """The database did not confirm a commit, which may have succeeded. Check before retrying."""

    type = "urn:problem:outcome-unknown"


class TransactionsNotSupported(ServiceError):
    """The database server, as configured, does not support transactions."""

    status = HTTPStatus.NOT_IMPLEMENTED
    type = "urn:problem:transactions-not-supported"
