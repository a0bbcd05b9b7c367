"""Loggers below ``regather`` that cost a command nothing as long as nobody logs.

Importing ``logging`` takes longer than anything else that a small download does not need. Where no
part of the program has imported it, no handler and no level can be set.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    import logging

__all__ = ["DEBUG", "INFO", "Logger", "json_line"]

DEBUG, INFO = 10, 20
"""As in ``logging``."""


class Logger:
    """Passes records on to the logger of a name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def _known(self) -> logging.Logger | None:
        # While another thread imports it, it is there in part.
        find = getattr(sys.modules.get("logging"), "getLogger", None)
        return None if find is None else cast("logging.Logger", find(self._name))

    def is_enabled_for(self, level: int) -> bool:
        """Whether anybody wants records of this level, below that of warnings."""
        logger = self._known()
        return logger is not None and logger.isEnabledFor(level)

    def debug(self, message: str, *args: object) -> None:
        """Log what is of interest for one request."""
        if (logger := self._known()) is not None:
            logger.debug(message, *args, stacklevel=2)

    def info(self, message: str, *args: object) -> None:
        """Log what happened to a source."""
        if (logger := self._known()) is not None:
            logger.info(message, *args, stacklevel=2)

    def warning(self, message: str, *args: object) -> None:
        """Log what the user should know; without any handler it goes to standard error."""
        import logging

        logging.getLogger(self._name).warning(message, *args, stacklevel=2)


def json_line(**fields: object) -> str:
    """One line of a log, in ASCII: the time in UTC, and the fields."""
    import json
    from datetime import UTC, datetime

    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json.dumps({"time": now, **{name: _unicode(fields[name]) for name in fields}})


def _unicode(value: object) -> object:
    """Text with bytes that are not Unicode as escapes: not every program reads lone surrogates."""
    if not isinstance(value, str):
        return value
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
