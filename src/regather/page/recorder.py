"""Remembers what a program samples once a second, and writes it as the JSON of the page.

The format is ``docs/page.md``. One thread calls all of it, ``events`` aside.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

from regather._version import __version__
from regather.errors import printable
from regather.model import Layout
from regather.names import without_secrets
from regather.page.checks import Checked, Checks, with_findings
from regather.page.event_log import EventLog, EventRow, Level
from regather.page.fragment_map import FragmentMap, lost_fragments, set_rows
from regather.page.history import Graphs, Meter
from regather.page.piece_bar import PieceBar, computed_pieces
from regather.page.samples import (
    MOST_FILES,
    MOST_TRANSFERS,
    FileSample,
    Sample,
    Sampled,
    TransferSample,
)
from regather.page.server_rows import ServerRows
from regather.page.words import can_fail, named, troubles, unknown_states
from regather.units import counted

VERSION = 1
_SEVERITY = ("healthy", "starting", "unknown", "degraded", "lost")
Document = dict[str, object]


class _FileView:
    """What is remembered of one file."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.map = FragmentMap()
        self.bar = PieceBar()
        self.computed: dict[int, tuple[int, int]] = {}
        """By fragment: pieces that were in place when it was counted, and those computed."""


class Recorder:
    """The memory of a page: call ``record`` once a second, ``document`` as often as needed."""

    def __init__(
        self,
        program: str,
        subject: Sampled,
        *,
        events: EventLog | None = None,
        checks: Checks | None = None,
        started: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """``program`` is the command: get, demo, cluster, gateway.

        ``events`` may be given where the subject writes into them. ``checks`` can be started from
        the page. ``started`` is the Unix time when the command was; None: now.
        """
        self._program = program
        self._subject = subject
        self._clock, self._wall = clock, wall
        self.events = events or EventLog(wall)
        self.checks = checks
        self._results: Sequence[Checked] = ()
        """Of the last check that was taken in."""
        self._started = wall() if started is None else started
        self._servers = ServerRows()
        self._graphs = Graphs(("in", "out", "errors"))
        self._in, self._out, self._errors = Meter(), Meter(), Meter()
        self._sample = Sample()
        self._files: dict[tuple[str, int], _FileView] = {}
        """Of the files that are shown, by name and layout: a name may mean another file later."""
        self._document: Document | None = None
        self._last_second = -1
        self.tick = 0
        """How many times ``record`` was called."""

    def record(self) -> None:
        """Take in this moment."""
        sample = self._sample = self._subject.sample()
        now, wall = self._clock(), self._wall()
        if self.checks is not None and self.checks.results is not self._results:
            self._take_in(self.checks.results, now)
        self._servers.note(sample.servers, now, wall, self.events)
        rates = {
            "in": self._in.note(now, sample.received),
            "out": self._out.note(now, sample.sent),
            "errors": self._errors.note(
                now, sum(sum(s.errors.values()) + s.corrupt for s in sample.servers)
            ),
        }
        if (second := int(wall)) > self._last_second:
            self._graphs.add(second, rates)
            self._last_second = second
        self._document = None
        self.tick += 1

    def _take_in(self, results: Sequence[Checked], now: float) -> None:
        self._results = results
        for one in results:
            self._servers.checked(one, now)
            level: Level = "good" if one.status == "healthy" else "bad"
            self.events.add(f"checked {one.name}: {one.text}", level=level)

    def document(self) -> Document:
        """Everything, as one value for JSON. It must not be changed."""
        if self._document is None:
            self._document = self._write()
        return self._document

    def _write(self) -> Document:
        sample = self._sample
        for file in sample.files[:MOST_FILES]:
            for url in file.servers:
                self._servers.number_of(url)
        rows = self._servers.all()
        files, state = [], self._state_without_files(sample)
        views, self._files = self._files, {}
        for file in sample.files[:MOST_FILES]:
            key = file.name, id(file.layout)
            view = self._files[key] = views.get(key) or _FileView(file.layout)
            written, of_file = self._file(file, view)
            files.append(written)
            if len(files) == 1 or _severity(of_file) > _severity(state):
                state = of_file
        running = sample.outcome == "running"
        if not running:
            state = {"word": sample.outcome, "text": sample.message}
        delivered = sum(s.useful or s.sent for s in sample.servers)
        cache = sample.cache
        shown = sample.transfers[:MOST_TRANSFERS]
        return {
            "version": VERSION,
            "program": self._program,
            "release": __version__,
            "now": round(self._wall(), 3),
            "started": round(self._started, 3),
            "tick": self.tick,
            "state": {**state, "activity": sample.activity},
            "rates": {
                "in": round(self._in.rate) if running else 0,
                "out": round(self._out.rate) if running else 0,
            },
            "totals": {"received": sample.received, "sent": sample.sent},
            "readers": sample.readers,
            "copies": round(sample.origin / sample.size, 3) if sample.size else None,
            "cache": None
            if cache is None
            else {
                "used": cache.used,
                "limit": cache.limit,
                "share": round(cache.served / sample.sent, 4) if sample.sent else 0.0,
            },
            "servers": [row.document(delivered) for row in rows],
            "files": files,
            "files_left_out": len(sample.files) - len(files) + sample.more_files,
            "transfers": [_transfer(one) for one in shown],
            "transfers_left_out": len(sample.transfers) - len(shown) + sample.more_transfers,
            "events": [_event(row) for row in self.events.since()],
            "seq": self.events.seq,
            "check": None if self.checks is None else self.checks.document(),
            "graphs": self._graphs.document(),
        }

    def _file(self, file: FileSample, view: _FileView) -> tuple[Document, dict[str, str]]:
        """One file, and the state in words as far as it is that of the file."""
        for checked in self._results:
            if checked.name == file.name:
                file = with_findings(file, checked)
        layout = file.layout
        ids = [self._servers.number_of(url) for url in file.servers]
        view.map.look(file, ids, [row.condition for row in self._servers.all()])
        cells = view.map.rows(file, ids)
        fragments = []
        for position, fragment in enumerate(layout.fragments):
            first, end = layout.first_pieces[position], layout.first_pieces[position + 1]
            done = file.here.count(1, first, end)
            if view.computed.get(position, (-1, 0))[0] != done:
                view.computed[position] = done, computed_pieces(file, position, done)
            fragments.append(
                {
                    "index": int(fragment.index),
                    "name": printable(fragment.name),
                    "kind": fragment.kind,
                    "set": fragment.set,
                    "size": fragment.size,
                    "pieces": end - first,
                    "done": done,
                    "computed": view.computed[position][1],
                    "cells": cells[position] if cells else "",
                }
            )
        bar = view.bar.document(file, ids) if file.here else None
        written: Document = {
            "name": printable(file.name),
            "size": layout.size,
            "piece_size": layout.piece_size,
            "link": file.link,
            "map_left_out": not cells,
            "sets": set_rows(file, view.map.holders),
            "fragments": fragments,
            "pieces": bar,
        }
        return written, self._state_of(
            file, view.map, whole=bar is not None and bar["done"] == bar["count"]
        )

    def _state_of(self, file: FileSample, seen: FragmentMap, *, whole: bool) -> dict[str, str]:
        conditions = [row.condition for row in self._servers.all()]
        trouble = troubles(conditions)
        if whole and not self._sample.readers:
            pieces = counted(file.layout.data_pieces, "piece")
            return {"word": "healthy", "text": f"All {pieces} of the file are in place."}
        few = [] if seen.survival.failures >= 0 else lost_fragments(file, seen.holders.good)
        if lost := few and lost_fragments(file, seen.holders.possible):
            what = named([int(file.layout.fragments[f].index) for f in lost])
            if len(self._sample.files) > 1:
                what += f" of {printable(file.name)}"
            return {
                "word": "lost",
                "text": f"Lost: {what}. No server that responds has it, and parity is not enough.",
            }
        unknown = unknown_states(conditions)
        is_known = not unknown and not any(seen.holders.unknown)
        if trouble:
            more = ""
            if few:
                more = "; it is not known whether the others are enough"
            elif seen.survival.failures < 0:
                more = "; what remains is available"
            elif is_known:
                more = f"; {can_fail(seen.survival, further=True)}"
            return {"word": "degraded", "text": f"Degraded: {trouble}{more}."}
        if is_known and not few:
            return {
                "word": "healthy",
                "text": f"Healthy: {can_fail(seen.survival, further=False)}.",
            }
        why = unknown or "not every server was asked for every fragment"
        if few:
            return {"word": "unknown", "text": f"Unknown: {why}."}
        return {"word": "healthy", "text": f"Healthy as far as is known: {why}."}

    def _state_without_files(self, sample: Sample) -> dict[str, str]:
        conditions = [row.condition for row in self._servers.all()]
        if trouble := troubles(conditions):
            return {"word": "degraded", "text": f"Degraded: {trouble}."}
        if sample.files or not conditions:
            return {"word": "starting", "text": "Starting."}
        if unknown := unknown_states(conditions):
            return {"word": "unknown", "text": f"Unknown: {unknown}."}
        every = (
            "the server responds"
            if len(conditions) == 1
            else f"all {len(conditions)} servers respond"
        )
        return {"word": "healthy", "text": f"Healthy: {every}."}


def _severity(state: dict[str, str]) -> int:
    return _SEVERITY.index(state["word"])


def _transfer(one: TransferSample) -> Document:
    return {
        "name": printable(one.name),
        "size": one.size,
        "done": one.done,
        "rate": round(one.rate),
        "left": None if one.left is None or math.isinf(one.left) else round(one.left, 1),
        "phase": one.phase,
        "waits": printable(one.waits),
        "seconds": round(one.seconds, 1),
        "file": one.file,
    }


def _event(row: EventRow) -> Document:
    return {
        "id": row.id,
        "seq": row.seq,
        "first": round(row.first, 3),
        "at": round(row.at, 3),
        "count": row.count,
        "level": row.level,
        "text": row.text,
        "servers": [without_secrets(url) for url in row.servers],
    }
