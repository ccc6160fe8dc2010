"""What can go wrong in words of the service, whoever asks. `app.forge.http.problems` answers with it."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, ClassVar


class ServiceError(Exception):
    """Something the service answers with a problem; subclasses say which, `detail` names the value."""

    status: ClassVar[HTTPStatus]
    type: ClassVar[str] = "about:blank"
    # What the problem has besides the members of RFC 9457.
    members: Mapping[str, Any] = {}

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class NotFound(ServiceError):
    """The row does not exist."""

    status = HTTPStatus.NOT_FOUND


class Taken(ServiceError):
    """Another row has the value of a field that must be unique."""

    status = HTTPStatus.CONFLICT
    type = "urn:problem:taken"

    def __init__(self, detail: str, field: str) -> None:
        super().__init__(detail)
        self.members = {"field": field}


class MissingReference(ServiceError):
    """A field refers to a row that does not exist; answered like any other invalid field."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY

    def __init__(self, noun: str, field: str, value: object, index: int | None = None) -> None:
        """The index is the place of the row in a batch."""
        where = ["body", field] if index is None else ["body", index, field]
        message = f"No {noun} has the id {value}."
        super().__init__(f"{'.'.join(map(str, where))}: {message}")
        self.members = {"errors": [{"loc": where, "msg": message}]}


class Referenced(ServiceError):
    """Other rows refer to the row, so it cannot be removed."""

    status = HTTPStatus.CONFLICT
    type = "urn:problem:referenced"


class PreconditionFailed(ServiceError):
    """The row is not, or no longer, the one that `If-Match` names."""

    status = HTTPStatus.PRECONDITION_FAILED


class Unavailable(ServiceError):
    """A dependency does not answer; the same request may succeed in a moment.

    Raise it `from` what went wrong: `app.forge.database.outages` logs the cause, once for each outage of the `dependency`.
    """

    status = HTTPStatus.SERVICE_UNAVAILABLE
    type = "urn:problem:unavailable"

    def __init__(self, detail: str, dependency: str = "database") -> None:
        super().__init__(detail)
        self.dependency = dependency


class TransactionConflict(ServiceError):
    """The transaction met another that changed the same rows; nothing was committed, and it may be tried again."""

    status = HTTPStatus.CONFLICT
    type = "urn:problem:transaction-conflict"


class OutcomeUnknown(Unavailable):
    """The database was asked to commit and did not answer: look before the same is done again."""

    type = "urn:problem:outcome-unknown"


class TransactionsNotSupported(ServiceError):
    """The database server has no transactions, and will not have any until it is set up differently."""

    status = HTTPStatus.NOT_IMPLEMENTED
    type = "urn:problem:transactions-not-supported"
