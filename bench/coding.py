"""Coding: our codecs beside the bare libraries, one thread, and no file."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from bench.model import Result, Sample, Section
from bench.process import measure
from bench.rounds import Bench, say
from regather.coding.codec import _isal

GROUP = "coding"
_LIBRARIES = {"isal": "ISA-L", "zfec": "zfec"}
_SHAPES = ("4+2", "10+4")
_LINES = tuple((lib, job, s) for lib in _LIBRARIES for s in _SHAPES for job in ("encode", "decode"))
NAMES = {GROUP: tuple(f"{lib}-{job}-{shape}" for lib, job, shape in _LINES)}
_RUNS = 5


def coding(bench: Bench) -> list[Section]:
    """Measure encode and decode."""
    lines = [line for line in _LINES if bench.wants(GROUP, "-".join(line))]
    if not lines:
        return []
    section = Section(
        "Coding, one thread, in the processor's caches",
        ["", "GB/s", "from - to", "bare library GB/s", "from - to", "share of it"],
        notes=[
            "GB of data pieces a second; decode: as many data pieces are lost as there is parity.",
            f"Medians of {_RUNS} runs, ours and the bare library in turn.",
        ],
    )
    library = _isal()
    if library is not None:
        section.notes.append(f"ISA-L is {Path(library._name).name}.")
    else:
        section.notes.append("ISA-L is not installed: nothing was measured with it.")
        lines = [line for line in lines if line[0] != "isal"]
    for lib, job, shape in lines:
        name, label = f"{lib}-{job}-{shape}", f"{_LIBRARIES[lib]}, {job} {shape}"
        say(f"{GROUP}: {name}")
        pair = [f"{lib}-{who}-{job}-{shape}" for who in ("ours", "raw")]
        # Both in one process, for their runs to take turns; its output is one short line.
        sample = measure([sys.executable, "-m", "bench.codec", str(_RUNS), *pair], limit=60)
        if sample.problem:
            section.results.append(Result(name, label, problem=f"FAILED: {sample.problem}"))
            section.rows.append([label, "FAILED", *["-"] * 4])
            section.notes.append(f"{label}: {sample.problem}")
            continue
        found = json.loads(sample.output.splitlines()[-1])
        ours, raw = (
            Result(one, one, found["sizes"][one], [Sample(s, s, 0) for s in found["seconds"][one]])
            for one in pair
        )
        section.results += [ours, raw]
        section.rows.append(_row(label, ours, raw))
    return [section]


def _row(label: str, ours: Result, raw: Result) -> list[str]:
    cells = [label]
    for result in (ours, raw):
        rates = [result.size / sample.wall / 1e9 for sample in result.samples]
        cells += [f"{result.size / result.wall / 1e9:.2f}", f"{min(rates):.1f} - {max(rates):.1f}"]
    share = (ours.size / ours.wall) / (raw.size / raw.wall)
    return [*cells, f"{share:.2f}"]
