"""Splitting: one pass that copies and hashes, beside a copy and a hash; and one that codes."""

from __future__ import annotations

from bench import tools
from bench.data import differs, empty, fragments, parity_differs
from bench.model import Row, Section
from bench.rounds import Bench, comparison, ratio, run_rounds

GROUP = "splitting"
_PLAIN = ("split", "copy-and-hash")
_CODED = ("split-parity", "parity-floor")
NAMES = {GROUP: (*_PLAIN, *_CODED)}


def splits(bench: Bench) -> list[Section]:
    """Measure both kinds."""
    return [
        measured(bench)
        for names, measured in ((_PLAIN, _plain), (_CODED, _coded))
        if bench.wants_any({GROUP: names})
    ]


def _plain(bench: Bench) -> Section:
    """``regather split`` beside cp and BLAKE3."""
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
    return section


def _coded(bench: Bench) -> Section:
    """``regather split --parity`` beside the bare pass over rows."""
    original = bench.original
    out = bench.scratch.memory / "split-out"
    rows = [
        Row(
            name=name,
            label=label,
            command=tuple(command),
            size=bench.size,
            prepare=lambda: empty(out),
            check=lambda: differs(original.path, fragments(out)) or parity_differs(out),
        )
        for name, label, command in (
            (
                "split-parity",
                "regather split --fragments 4 --parity 2 --servers 6",
                tools.split_coded(original.path, out),
            ),
            (
                "parity-floor",
                "floor (read a row, encode, BLAKE3, write; 2 threads)",
                tools.coded_floor(original.path, out),
            ),
        )
    ]
    results = run_rounds(GROUP, bench.pick(GROUP, rows), bench.runs, bench.measure)
    section = comparison(
        "Split with parity 4+2, memory to memory", results, [("floor", "parity-floor")]
    )
    section.notes.append(
        "Ours also hashes the whole file, which the floor does not, and writes a manifest."
    )
    value = ratio({result.name: result for result in results}, "parity-floor", "split-parity")
    if value is not None:
        section.metrics["split-parity"] = value
    return section
