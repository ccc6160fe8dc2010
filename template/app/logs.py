"""Log lines as JSON, one a line, for whatever collects them."""

import json
import logging
import sys
from datetime import UTC, datetime

# What `extra={…}` may bring along.
FIELDS = ("request_id", "stack", "statement", "milliseconds", "plan")


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object, with those of its fields that are set."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name in FIELDS if (value := getattr(record, name, None))}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure_logging(level: str) -> None:
    """Send all log lines of this process to standard error; a program that set up logging keeps its own."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler])
