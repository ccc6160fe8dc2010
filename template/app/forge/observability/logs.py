"""Structured logging: one JSON object per line."""

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType

# Set for each request, and copied with the context to its threads and background tasks.
REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)

# Attributes that Python sets on a record; all others come from `extra={…}`.
OWN_ATTRIBUTES = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
# Uvicorn repeats its messages in color.
LEFT_OUT = OWN_ATTRIBUTES | {"color_message"}


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object, including its request id and `extra`."""

    def __init__(self) -> None:
        super().__init__()
        # Other encodings get ASCII, because the stream escapes what it cannot encode in a way that is not JSON.
        self._is_ascii = str(sys.stderr.encoding).lower() not in ("utf-8", "utf8")

    def format(self, record: logging.LogRecord) -> str:
        """Return the line. Values that JSON cannot express appear as their `repr`."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": _message(record),
        }
        if (request_id := REQUEST_ID.get()) is not None:
            line["request_id"] = request_id
        extra = {name: value for name, value in vars(record).items() if name not in LEFT_OUT}
        line |= {f"{name}_" if name in line and name != "request_id" else name: extra[name] for name in extra}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = record.stack_info
        return self._dumped(line)

    def _dumped(self, line: dict[str, object]) -> str:
        try:
            return json.dumps(line, ensure_ascii=self._is_ascii, allow_nan=False, default=_shown)
        except (TypeError, ValueError, RecursionError):
            # A key that is not a string, NaN, or a circular reference.
            shown = {name: value if isinstance(value, str) else _shown(value) for name, value in line.items()}
            return json.dumps(shown, ensure_ascii=self._is_ascii)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:
        # The arguments do not match the message, so log both.
        return f"{record.msg} {_shown(record.args)}"


def _shown(value: object) -> str:
    try:
        return repr(value)
    except Exception as error:
        return f"<{type(value).__name__} whose repr raised {type(error).__name__}>"


def configure_logging(level: str = "INFO") -> None:
    """Log as JSON to standard error, unless the program has already configured logging."""
    root = logging.getLogger()
    if not root.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(JsonFormatter())
        root.addHandler(handler)
        sys.excepthook = _log_uncaught
    if any(isinstance(handler.formatter, JsonFormatter) for handler in root.handlers):
        root.setLevel(level)


def _log_uncaught(kind: type[BaseException], error: BaseException, stack: TracebackType | None) -> None:
    if issubclass(kind, Exception):
        logging.getLogger(__name__).critical("The process ends.", exc_info=(kind, error, stack))
    else:
        sys.__excepthook__(kind, error, stack)
