"""``python -m bench.picture``: draw docs/picture.svg from a download that loses two of its servers.

A file is split 4+2 onto six servers of ours, each held to the same rate. Two that are in use are
killed while it is downloaded, the parity servers take over, and the copy is compared byte for byte.
What each server delivered is drawn as it was measured; only the layout is fixed.
"""

from __future__ import annotations

import argparse
import filecmp
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import regather
from regather.cluster import Cluster, server_folders
from regather.units import format_size, parse_size

DATA, PARITY = 4, 2
SERVERS = DATA + PARITY
KILLS = ((1, 0.3), (2, 0.6))
"""Which server (from 0) is killed once this share of the file is in place."""
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Sample:
    """A moment of the download: what was in place, and what each server had sent."""

    seconds: float
    done: int
    received: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """What was measured. ``killed`` has the server, from 0, and the moment."""

    size: int
    rate: int
    seconds: float
    rows: int
    samples: tuple[Sample, ...]
    killed: tuple[tuple[int, float], ...]


def measure(folder: Path, size: int, rate: int) -> Run:
    """Split, serve, download while servers are killed, compare; return what was seen."""
    original, copy, hosted = folder / "file.bin", folder / "copy.bin", folder / "hosted"
    regather.generate(original, size)
    # Small pieces, so that the curves are smooth.
    regather.split(
        original, hosted, fragments=DATA, parity=PARITY, servers=SERVERS, piece_size=MIB // 4
    )
    samples: list[Sample] = []
    killed: list[tuple[int, float]] = []
    with Cluster(
        server_folders(hosted), arguments=[("--fault", f"slow:{rate}")] * SERVERS
    ) as cluster:

        def watch(progress: regather.Progress) -> None:
            if progress.phase != "downloading":
                return
            by_url = {source.url: source.received for source in progress.sources}
            received = tuple(by_url.get(url, 0) for url in cluster.urls)
            samples.append(Sample(progress.seconds, progress.done, received))
            if len(killed) < len(KILLS):
                server, share = KILLS[len(killed)]
                if progress.done >= share * size:
                    cluster.members[server].kill()
                    killed.append((server, progress.seconds))

        report = regather.download(
            hosted / "file.bin.regather.json",
            copy,
            servers=cluster.urls,
            settings=regather.Settings(no_proxy="*"),
            on_progress=watch,
        )
    if not filecmp.cmp(original, copy, shallow=False):
        raise SystemExit("the copy is not the original")
    by_url = {source.url: source.received for source in report.sources}
    received = tuple(by_url.get(url, 0) for url in cluster.urls)
    samples.append(Sample(report.seconds, size, received))
    return Run(size, rate, report.seconds, report.decoded, tuple(samples), tuple(killed))


def level(points: Sequence[tuple[float, int]], moment: float) -> float:
    """Return the value at a moment, on straight lines between the points (seconds, value)."""
    last = (0.0, 0)
    for point in points:
        if point[0] >= moment:
            share = (moment - last[0]) / max(point[0] - last[0], 1e-9)
            return last[1] + share * (point[1] - last[1])
        last = point
    return last[1]


def rates(run: Run, bins: int) -> list[list[float]]:
    """Return bytes a second of each server in each of ``bins`` equal spans of the run."""
    span = run.seconds / bins
    rows = []
    for server in range(SERVERS):
        points = [(sample.seconds, sample.received[server]) for sample in run.samples]
        levels = [level(points, n * span) for n in range(bins + 1)]
        rows.append([(after - before) / span for before, after in pairwise(levels)])
    return rows


WIDTH, LEFT, RIGHT, TOP = 820, 132, 20, 66
LANE, GAP, FILE = 34, 8, 48
BINS = 72
STYLE = """
text { font: 13px system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif; fill: #1f2328; }
.head { font-size: 17px; font-weight: 600; }
.dim { fill: #59636e; }
.lane { fill: #eff2f5; }
.data { fill: #1f7a8c; }
.parity { fill: #8250df; }
.file { fill: #1a7f37; }
.dead { fill: #cf222e; font-weight: 600; }
.cut { stroke: #cf222e; stroke-width: 2; }
.drop { stroke: #cf222e; stroke-dasharray: 3 4; }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc; }
.dim { fill: #9198a1; }
.lane { fill: #21262d; }
.data { fill: #4ac1d8; }
.parity { fill: #b987ff; }
.file { fill: #3fb950; }
.dead { fill: #ff7b72; }
.cut, .drop { stroke: #ff7b72; }
}
"""


def draw(run: Run, made: str) -> str:
    """Return the SVG of a run; ``made`` says when and by what it was made."""
    plot = WIDTH - LEFT - RIGHT
    bottom = TOP + SERVERS * (LANE + GAP)
    height = bottom + FILE + 58
    most = max(max(row) for row in rates(run, BINS)) or 1.0
    moment_of = dict(run.killed)

    def x(seconds: float) -> str:
        return f"{LEFT + plot * seconds / run.seconds:.1f}"

    def area(values: Sequence[float], base: float, tall: float, kind: str) -> str:
        """Return steps from the left edge to the right one, above ``base``."""
        step = plot / len(values)
        path = [f"M{LEFT} {base:.0f}"]
        for n, value in enumerate(values):
            path.append(f"V{base - tall * value:.1f}H{LEFT + step * (n + 1):.1f}")
        return f'<path class="{kind}" d="{"".join(path)}V{base:.0f}Z"/>'

    def text(at: str | float, y: float, words: str, kind: str = "", more: str = "") -> str:
        return f'<text x="{at}" y="{y:.0f}" class="{kind}"{more}>{words}</text>'

    names = " and ".join(f"server {server + 1}" for server, _ in run.killed)
    moments = " and ".join(f"{moment:.1f} s" for _, moment in run.killed)
    size, rate = f"{run.size / 1e6:.0f} MB", f"{run.rate / 1e6:.0f} MB/s"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" role="img" aria-labelledby="title desc">',
        f'<title id="title">A download goes on while {names} are killed</title>',
        f'<desc id="desc">Rates of six servers over {run.seconds:.1f} seconds. The file of {size} '
        f"lies on them in {DATA} data and {PARITY} parity fragments. At {moments} a data server "
        f"is killed and its rate falls to zero. The other servers go on, and the file "
        f"fills steadily to 100 %. {made}</desc>",
        f"<style>{STYLE}</style>",
        text(20, 28, "Two of six servers are killed. The download goes on.", "head"),
        text(
            20,
            50,
            f"{size} as 4 data and 2 parity fragments, one a server, each held to {rate}",
            "dim",
        ),
    ]
    for server, values in enumerate(rates(run, BINS)):
        y = TOP + server * (LANE + GAP)
        kind = "data" if server < DATA else "parity"
        base = y + LANE
        lines += [
            f'<rect class="lane" x="{LEFT}" y="{y}" width="{plot}" height="{LANE}"/>',
            text(20, y + 15, f"server {server + 1}"),
            text(20, y + 31, kind, "dim"),
            area([value / most for value in values], base, LANE, kind),
        ]
        if server in moment_of:
            at = x(moment_of[server])
            lines += [
                f'<path class="drop" d="M{at} {base}V{bottom + FILE}"/>',
                f'<path class="cut" d="M{at} {y}V{base}"/>',
                text(
                    f"{float(at) + 8:.1f}", y + 22, f"killed at {moment_of[server]:.1f} s", "dead"
                ),
            ]
    span = run.seconds / BINS
    points = [(sample.seconds, sample.done) for sample in run.samples]
    done = [level(points, (n + 1) * span) / run.size for n in range(BINS)]
    base = bottom + FILE
    lines += [
        f'<rect class="lane" x="{LEFT}" y="{bottom}" width="{plot}" height="{FILE}"/>',
        text(20, bottom + 22, "the file"),
        text(20, bottom + 38, "0 to 100 %", "dim"),
        area(done, base, FILE, "file"),
        text(LEFT, base + 20, "0 s", "dim"),
        text(WIDTH - RIGHT, base + 20, f"{run.seconds:.1f} s", "dim", ' text-anchor="end"'),
        text(
            20,
            base + 44,
            f"Every piece verified; {run.rows} rows computed from parity; the copy is identical to "
            "the original.",
        ),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, draw, write."""
    parser = argparse.ArgumentParser(prog="python -m bench.picture", description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/picture.svg"))
    parser.add_argument("--size", type=parse_size, default=parse_size("480MB"))
    parser.add_argument("--rate", type=parse_size, default=parse_size("10MB"))
    args = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="regather-picture-") as folder:
        run = measure(Path(folder), args.size, args.rate)
    day = datetime.now(UTC).date().isoformat()
    drawn = draw(
        run, f"Measured on {day} by python -m bench.picture, regather {regather.__version__}."
    )
    args.output.write_text(drawn, encoding="utf-8")
    print(
        f"{args.output}: {format_size(len(drawn))}, {run.seconds:.1f} s, {len(run.samples)} samples"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
