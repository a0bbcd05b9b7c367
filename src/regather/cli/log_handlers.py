"""Where ``--verbose`` and ``--log`` write to."""

from __future__ import annotations

import logging
import re
import sys
from contextlib import suppress

from regather.errors import printable, reason
from regather.logs import json_line

_WORD = re.compile(r"\S++")


class Plain(logging.Formatter):
    """A line a record. It moves no cursor of a terminal, and shows no query of a URL."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        return _WORD.sub(_without_query, printable(super().format(record)))


class JsonRecords(logging.Formatter):
    """An object a record, in one line. It shows no query of a URL."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        return json_line(
            event="message",
            level=record.levelname.lower(),
            logger=record.name,
            message=_WORD.sub(_without_query, super().format(record)),
        )


def _without_query(word: re.Match[str]) -> str:
    """The word, without the query where it holds a URL. One expression would be quadratic."""
    text = word[0]
    at = text.find("://")
    query = text.find("?", at) if at >= 0 else -1
    return text if query < 0 else f"{text[:query]}?..."


class OnStandardError(logging.Handler):
    """Writes to what ``sys.stderr`` is at that moment: a live display takes its place."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        print(self.format(record), file=sys.stderr, flush=True)


class InFile(logging.FileHandler):
    """Appends to a file; where that fails it says so once and ends: the command goes on."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Say that the log ends."""
        error = sys.exc_info()[1]
        if self.level > logging.CRITICAL or not isinstance(error, OSError):
            return
        self.setLevel(logging.CRITICAL + 1)
        with suppress(OSError):
            print(
                f"regather: warning: --log {printable(self.baseFilename)}: "
                f"{reason(error).lower()}; the log ends here",
                file=sys.stderr,
            )

    def close(self) -> None:
        """Close the file."""
        with suppress(OSError):  # what could not be written is still to be written
            super().close()
