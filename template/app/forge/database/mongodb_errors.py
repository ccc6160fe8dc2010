"""MongoDB's errors by kind: outages, taken values, and mistakes in a statement."""

import re
from collections.abc import Mapping
from typing import Any

from pymongo.errors import BulkWriteError, ConfigurationError, ConnectionFailure, OperationFailure

from app.forge.table import Table

DUPLICATE_KEY = 11_000
BULK_FAULTS = ("writeErrors", "writeConcernErrors")
# The name may follow that of the collection: "index: shop.items.$name_1 dup key: {…}".
INDEX_NAME = re.compile(r" index: (?:\S*\$)?(\S+)")

# Raised by PyMongo and Motor if the server cannot be reached; for an unknown host name it is a `ConfigurationError`.
UNREACHABLE_ERRORS = (TimeoutError, ConnectionFailure, ConfigurationError)
# Responses of a server that is starting, stopping, stepping down, overloaded or closed to this user:
# https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml
UNAVAILABLE_CODES = frozenset(
    {
        6,  # HostUnreachable
        7,  # HostNotFound
        11,  # UserNotFound
        13,  # Unauthorized
        18,  # AuthenticationFailed
        24,  # LockTimeout
        43,  # CursorNotFound
        46,  # LockBusy
        50,  # MaxTimeMSExpired
        64,  # WriteConcernFailed
        89,  # NetworkTimeout
        91,  # ShutdownInProgress
        112,  # WriteConflict
        134,  # ReadConcernMajorityNotAvailableYet
        189,  # PrimarySteppedDown
        202,  # NetworkInterfaceExceededTimeLimit
        251,  # NoSuchTransaction
        262,  # ExceededTimeLimit
        365,  # TemporarilyUnavailable
        391,  # ReauthenticationRequired
        462,  # IngressRequestRateLimitExceeded
        8_000,  # AtlasError
        9_001,  # SocketException
        10_107,  # NotWritablePrimary
        11_600,  # InterruptedAtShutdown
        11_602,  # InterruptedDueToReplStateChange
        13_435,  # NotPrimaryNoSecondaryOk
        13_436,  # NotPrimaryOrSecondary
        14_031,  # OutOfDiskSpace
    }
)


def is_unavailable(error: Exception) -> bool:
    """Return whether the same operation may succeed later; otherwise it is wrong."""
    if isinstance(error, UNREACHABLE_ERRORS):
        return True
    if not isinstance(error, OperationFailure):
        return False
    may_be_repeated = any(map(error.has_error_label, ("RetryableWriteError", "TransientTransactionError")))
    return may_be_repeated or error.timeout or bool(_codes(error) & UNAVAILABLE_CODES)


def _codes(error: OperationFailure) -> set[int | None]:
    if isinstance(error, BulkWriteError):
        return {fault.get("code") for kind in BULK_FAULTS for fault in error.details.get(kind, ())}
    return {error.code}


def taken_field(table: Table, fault: Mapping[str, Any] | None) -> str | None:
    """Return the unique field whose value another row has, or None if the server reports another error."""
    fault = fault or {}
    if fault.get("code") != DUPLICATE_KEY:
        return None
    unique = [column.name for column in table.columns if column.is_unique]
    if "keyPattern" in fault:
        return next((name for name in unique if list(fault["keyPattern"]) == [name]), None)
    # Other servers that speak MongoDB's protocol may name the index only in the message.
    index = INDEX_NAME.search(fault.get("errmsg", ""))
    return next((name for name in unique if index is not None and index[1] == f"{name}_1"), None)
