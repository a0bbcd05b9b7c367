"""Looks at the destination from outside while clients run, as any user of the file could."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from pathlib import Path

_PAUSE = 0.003
_HEADER, _RECORD = 128, 32


class Watch:
    """Polls the destination's name until it is left; use as a context manager.

    Whatever is seen under that name must be one of ``allowed``, whole.
    """

    def __init__(self, dest: Path, allowed: Iterable[bytes | None]) -> None:
        self._dest = dest
        self._allowed = list(allowed)
        self._ended = threading.Event()
        self._seen: tuple[int, int, int] | None = None
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self.flaws: list[str] = []
        """What was seen there that must not be."""

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self.look()

    def _run(self) -> None:
        while not self._ended.wait(_PAUSE):
            self.look()

    def look(self) -> None:
        """Look once; content is read where the file is another one than before."""
        try:
            with self._dest.open("rb") as file:
                status = os.fstat(file.fileno())
                now = (status.st_ino, status.st_size, status.st_mtime_ns)
                if now == self._seen:
                    return
                content = file.read()
        except OSError:
            return
        self._seen = now
        if content not in self._allowed:
            self.flaws.append(
                f"{len(content)} bytes under the final name that are neither the old nor the new "
                "file"
            )


def claimed(journal: Path, blank: bytes = bytes(_RECORD)) -> int | None:
    """How many pieces a journal claims; None where there is none."""
    try:
        records = journal.read_bytes()[_HEADER:]
    except OSError:
        return None
    return sum(records[i : i + _RECORD] != blank for i in range(0, len(records), _RECORD))
