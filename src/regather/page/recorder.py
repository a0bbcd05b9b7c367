"""Remembers what a program samples once a second, and writes it as the JSON of the page.

The format is ``docs/page.md``. One thread calls all of it, ``events`` aside.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

from regather._version import __version__
from regather.coding.survival import Survival
from regather.errors import printable
from regather.model import Layout
from regather.names import without_secrets
from regather.page.event_log import EventLog, EventRow
from regather.page.fragment_map import FragmentMap, lost_fragments, set_rows
from regather.page.history import Graphs, Meter
from regather.page.piece_bar import PieceBar, computed_pieces
from regather.page.samples import FileSample, Sample, Sampled, TransferSample
from regather.page.server_rows import ServerRows
from regather.page.words import may_fail, named, troubles
from regather.units import counted

VERSION = 1
MOST_TRANSFERS = 200
MOST_FILES = 20
_UNUSABLE = ("gone", "corrupt")
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
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """``program`` is the command: get, demo, cluster, gateway.

        ``events`` may be given where the subject writes into them.
        """
        self._program = program
        self._subject = subject
        self._clock, self._wall = clock, wall
        self.events = events or EventLog(wall)
        self._started = wall()
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
        gone = {row.id: row.condition == "gone" for row in rows}
        unusable = {row.id: row.condition in _UNUSABLE for row in rows}
        files, state = [], self._state_without_files(sample)
        views, self._files = self._files, {}
        for file in sample.files[:MOST_FILES]:
            key = file.name, id(file.layout)
            view = self._files[key] = views.get(key) or _FileView(file.layout)
            written, of_file = self._file(file, view, gone, unusable, len(rows))
            files.append(written)
            if len(files) == 1 or of_file["word"] == "lost":
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
            "files_left_out": max(len(sample.files) - MOST_FILES, 0),
            "transfers": [_transfer(one) for one in shown],
            "transfers_left_out": len(sample.transfers) - len(shown),
            "events": [_event(row) for row in self.events.since()],
            "seq": self.events.seq,
            "graphs": self._graphs.document(),
        }

    def _file(
        self,
        file: FileSample,
        view: _FileView,
        gone: dict[int, bool],
        unusable: dict[int, bool],
        count: int,
    ) -> tuple[Document, dict[str, str]]:
        """One file, and the state in words as far as it is that of the file."""
        layout = file.layout
        ids = [self._servers.number_of(url) for url in file.servers]
        cells = view.map.rows(file, ids, gone, count)
        survival, holders = view.map.survival(file, ids, unusable)
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
            "sets": set_rows(file, holders),
            "fragments": fragments,
            "pieces": bar,
        }
        unknown = {n for row in cells for n, cell in enumerate(row) if cell == "u"}
        return written, self._state_of(
            file,
            survival,
            holders,
            known=all(unusable.get(number, False) for number in unknown),
            whole=bar is not None and bar["done"] == bar["count"],
        )

    def _state_of(
        self,
        file: FileSample,
        survival: Survival,
        holders: Sequence[set[int]],
        *,
        known: bool,
        whole: bool,
    ) -> dict[str, str]:
        """The state; ``known`` says whether it is known which fragments each server has."""
        conditions = [row.condition for row in self._servers.all()]
        trouble = troubles(conditions)
        if whole and not self._sample.readers:
            return {
                "word": "healthy",
                "text": f"All {counted(file.layout.data_pieces, 'piece')} "
                "of the file are in place.",
            }
        if survival.failures < 0:
            if lost := lost_fragments(file, holders):
                indexes = [int(file.layout.fragments[f].index) for f in lost]
                return {
                    "word": "lost",
                    "text": f"Lost: {named(indexes)}. No server that responds "
                    "has it, and parity is not enough.",
                }
            return {
                "word": "degraded",
                "text": f"Degraded: {trouble or 'sources are missing'}; what remains is available.",
            }
        if trouble:
            more = f"; {may_fail(survival, further=True)}" if known else ""
            return {"word": "degraded", "text": f"Degraded: {trouble}{more}."}
        if not known:
            text = "Healthy as far as is known: not every server was asked for every fragment."
            return {"word": "healthy", "text": text}
        return {"word": "healthy", "text": f"Healthy: {may_fail(survival, further=False)}."}

    def _state_without_files(self, sample: Sample) -> dict[str, str]:
        rows = self._servers.all()
        trouble = troubles([row.condition for row in rows])
        if trouble:
            return {"word": "degraded", "text": f"Degraded: {trouble}."}
        if sample.files or not rows:
            return {"word": "starting", "text": "Starting."}
        every = "the server responds" if len(rows) == 1 else f"all {len(rows)} servers respond"
        return {"word": "healthy", "text": f"Healthy: {every}."}


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
