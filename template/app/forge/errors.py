"""What can go wrong in words of the service, whoever asks. `app.forge.http.problems` answers with it."""

from http import HTTPStatus
from typing import ClassVar


class ServiceError(Exception):
    """Something the service answers with a problem; subclasses say which, `detail` names the value."""

    status: ClassVar[HTTPStatus]
    type: ClassVar[str] = "about:blank"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class NotFound(ServiceError):
    """No such item."""

    status = HTTPStatus.NOT_FOUND


class NameTaken(ServiceError):
    """Another item has the name."""

    status = HTTPStatus.CONFLICT
    type = "urn:problem:name-taken"


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
