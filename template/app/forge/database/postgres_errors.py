"""Errors of PostgreSQL by kind: the database is unavailable (503), or the statement is wrong (500)."""

import asyncpg
from asyncpg import exceptions

from app.forge.errors import Unavailable

# The server has disappeared, is stopping, or is read-only: its other connections are useless, too.
LOST_ERRORS = (
    OSError,
    # The server has closed an idle connection, and its last message has not been read yet.
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    exceptions.AdminShutdownError,
    exceptions.CrashShutdownError,
    exceptions.CannotConnectNowError,
    exceptions.ReadOnlySQLTransactionError,
)
# This session has ended, or is about to.
ENDED_ERRORS = (
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    exceptions.IdleInTransactionSessionTimeoutError,
    exceptions.TransactionTimeoutError,
)
# A deadlock, a serialization failure or an unavailable lock: the session continues.
CONFLICT_ERRORS = (exceptions.TransactionRollbackError, exceptions.LockNotAvailableError)
UNAVAILABLE_ERRORS = (*LOST_ERRORS, *ENDED_ERRORS, *CONFLICT_ERRORS)

NOT_IN_TIME = "The database did not respond in time."
NOT_REACHED = "The database cannot be reached."
NOT_MIGRATED = "The database has not been migrated yet."
CHANGED_AT_THE_SAME_TIME = "Another change was made at the same time."
DETAILS = (
    (exceptions.ReadOnlySQLTransactionError, "The database is read-only at the moment."),
    ((TimeoutError, exceptions.QueryCanceledError, exceptions.TransactionTimeoutError), NOT_IN_TIME),
    (asyncpg.InsufficientResourcesError, "The database is short of resources."),
    (CONFLICT_ERRORS, CHANGED_AT_THE_SAME_TIME),
)


def unavailable(error: BaseException) -> Unavailable:
    """Return the error for clients for one of `UNAVAILABLE_ERRORS`; raise it from the original."""
    for kinds, detail in DETAILS:
        if isinstance(error, kinds):
            return Unavailable(detail)
    return Unavailable("The connection to the database was lost.")


def ends_session(error: BaseException) -> bool:
    """Return whether the connection must not be used again.

    It can be reused only if a statement was refused: after any other error, a response may still be on its way.
    """
    return not isinstance(error, asyncpg.PostgresError) or isinstance(error, (*LOST_ERRORS, *ENDED_ERRORS))
