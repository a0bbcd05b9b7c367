"""What lost servers cost where parity stands in for them: two of six, 4+2."""

from __future__ import annotations

import shutil
from contextlib import ExitStack

from tests.support.net import free_port
from tests.support.nginx import Nginx

from bench import tools
from bench.data import differs, empty
from bench.model import Row, Section
from bench.process import measure
from bench.rounds import Bench, comparison, limit_for, run_rounds

DEGRADED = "degraded"
NAMES = {DEGRADED: ("parity-healthy", "parity-degraded")}
_DEAD = (0, 2)
"""Data servers that refuse connections: each of their rows must be computed."""


def degraded(bench: Bench) -> list[Section]:
    """Measure a download with all six servers, and one with two of the data servers dead."""
    if not bench.wants_any(NAMES) or not bench.has("nginx"):
        return []
    original, folder = bench.original, bench.scratch.memory / "coded"
    dest = bench.scratch.memory / "out" / original.path.name
    folder.mkdir()
    try:
        out = folder / "split"
        made = measure(tools.split_coded(original.path, out), limit=limit_for(original.size))
        manifest = out / f"{original.path.name}.regather.json"
        with ExitStack() as stack:
            urls = [
                stack.enter_context(Nginx(out / f"server{number}")).url for number in range(1, 7)
            ]
            dead = [
                f"http://127.0.0.1:{free_port()}/" if number in _DEAD else url
                for number, url in enumerate(urls)
            ]

            def row(name: str, label: str, servers: list[str]) -> Row:
                return Row(
                    name=name,
                    label=label,
                    command=tuple(tools.get(manifest, servers, dest)),
                    size=original.size,
                    prepare=lambda: empty(dest.parent),
                    check=lambda: differs(original.path, [dest]),
                )

            rows = [
                row("parity-healthy", "six good servers", urls),
                row("parity-degraded", "two data servers of the six dead", dead),
            ]
            results = run_rounds(DEGRADED, rows, bench.runs, bench.measure)
    finally:
        shutil.rmtree(folder)
    section = comparison(
        "Two of six servers dead (4+2, nginx)", results, [("healthy", "parity-healthy")]
    )
    if made.problem:
        section.notes.append(f"regather split: {made.problem}")
    healthy, lost = results
    if healthy.ok and lost.ok:
        section.metrics["degraded"] = lost.wall / healthy.wall
        section.metrics["parity-rss"] = max(healthy.peak_rss, lost.peak_rss)
    return [section]
