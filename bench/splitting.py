"""Splitting: one pass that copies and hashes, beside a copy and a hash."""

from __future__ import annotations

from bench import tools
from bench.data import differs, empty, fragments
from bench.model import Row, Section
from bench.rounds import Bench, comparison, ratio, run_rounds

GROUP = "splitting"
NAMES = {GROUP: ("split", "copy-and-hash")}


def splits(bench: Bench) -> list[Section]:
    """Measure ``regather split`` beside cp and BLAKE3."""
    if not bench.wants_any(NAMES):
        return []
    original = bench.original
    out = bench.scratch.memory / "split-out"
    copy = out / original.path.name
    rows = [
        Row(
            name="split",
            label="regather split --servers 3",
            command=tuple(tools.split(original.path, out)),
            size=bench.size,
            prepare=lambda: empty(out),
            check=lambda: differs(original.path, fragments(out)),
        ),
        Row(
            name="copy-and-hash",
            label="cp, then BLAKE3 (mmap, one thread)",
            command=tuple(tools.copy_and_hash(original.path, copy)),
            size=bench.size,
            prepare=lambda: empty(out),
            check=lambda: differs(original.path, [copy]),
        ),
    ]
    results = run_rounds(GROUP, bench.pick(GROUP, rows), bench.runs, bench.measure)
    section = comparison("Split, memory to memory", results, [("cp + BLAKE3", "copy-and-hash")])
    value = ratio({result.name: result for result in results}, "split", "copy-and-hash")
    if value is not None:
        section.metrics["split"] = value
    return [section]
