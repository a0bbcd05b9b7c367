"""Checks of the servers that somebody starts from the page, one at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from regather.errors import RegatherError, printable
from regather.page.samples import FileSample
from regather.tasks import Thread

FindingState = Literal["held", "absent", "corrupt", "unreachable"]


class Finding(Struct, frozen=True):
    """What a check found of one fragment at one server."""

    url: str
    """Of the server, as in samples."""
    fragment: int
    """Its position; -1: of all that the server may have."""
    state: FindingState


class Checked(Struct, frozen=True):
    """The result for one file."""

    name: str
    status: str
    """healthy, degraded or lost."""
    text: str
    """The same in a few words."""
    servers: Sequence[str]
    """The URLs of the servers that were asked."""
    findings: Sequence[Finding]
    """What a server that responds is not said to hold is not there."""

    @property
    def responded(self) -> set[str]:
        """The servers that gave an answer."""
        silent = {one.url for one in self.findings if one.state == "unreachable"}
        return {*self.servers} - silent | {f.url for f in self.findings if f.state == "held"}


class Checks:
    """Runs checks in a thread of their own. Call ``start`` and ``document`` in one thread."""

    def __init__(self, check: Callable[[], Sequence[Checked]]) -> None:
        """``check`` may raise RegatherError."""
        self._check = check
        self._thread: Thread | None = None
        self.results: Sequence[Checked] = ()
        """Of the last check; a new object after each."""
        self._text = ""
        self._at = 0.0

    def start(self) -> None:
        """Begin a check, unless one runs."""
        if not self._runs:
            self._thread = Thread(self._run, name="regather-page-check", daemon=True)
            self._thread.start()

    @property
    def _runs(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _run(self) -> None:
        try:
            results = self._check()
            text = "; ".join(f"{one.name}: {one.text}" for one in results) or "no file"
        except RegatherError as error:
            results, text = (), f"failed: {error.what}"
        self._text, self._at, self.results = printable(text), time.time(), results

    def document(self) -> dict[str, object]:
        """The state of the last check, for JSON."""
        return {"running": self._runs, "text": self._text, "at": round(self._at, 3)}


def with_findings(file: FileSample, checked: Checked) -> FileSample:
    """The file with what a check found, where nothing newer is known."""
    states = {(one.url, one.fragment): one.state for one in checked.findings}
    responded = checked.responded
    kinds = {"held": set(file.held), "absent": set(file.absent), "corrupt": set(file.corrupt)}
    seen = set[tuple[int, int]]().union(*kinds.values())
    for number, (url, held) in enumerate(zip(file.servers, file.holdings, strict=True)):
        if url in responded:
            for fragment in range(len(file.layout.fragments)) if held is None else held:
                state = states.get((url, fragment), "absent")
                if state != "unreachable" and (number, fragment) not in seen:
                    kinds[state].add((number, fragment))
    return replace(
        file, held=frozenset(kinds["held"]), absent=kinds["absent"], corrupt=kinds["corrupt"]
    )
