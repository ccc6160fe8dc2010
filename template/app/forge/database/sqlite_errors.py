"""SQLite's errors by kind: outages, and mistakes in a statement."""

import sqlite3

# Raised by opening the file or executing a statement, during an outage or for other reasons.
UNAVAILABLE_ERRORS = (OSError, sqlite3.OperationalError)
# https://www.sqlite.org/rescode.html
UNAVAILABLE_CODES = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOLFS,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_READONLY,
    }
)


def may_pass(error: Exception) -> bool:
    """Return whether the same statement may succeed later; otherwise it is wrong, or the schema is."""
    if isinstance(error, sqlite3.OperationalError):
        # Of an extended code, such as SQLITE_IOERR_FSYNC, the lowest byte is the primary one. Python's own errors,
        # such as text that is not UTF-8, have none.
        return getattr(error, "sqlite_errorcode", 0) & 0xFF in UNAVAILABLE_CODES
    return True
