"""Whether ``--limit-rate`` is kept: bytes received over the time that it took, of the limit."""

from __future__ import annotations

import shutil
import statistics
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext

from tests.support.network import why_not
from tests.support.nginx import Nginx

import regather
from bench.data import differs, empty, generate
from bench.model import Result, Section
from bench.network import LINKS, Lab
from bench.rounds import SLOW_RUNS, Bench, say
from bench.transfer import Site, split_for_servers

LIMIT = "limit"
LOOPBACK, OVER_LINKS = "limit-loopback", "limit-links"
NAMES = {LIMIT: (LOOPBACK, OVER_LINKS)}
_RATES = {LOOPBACK: (1, 10, 50, 200), OVER_LINKS: (1, 10)}
"""MB/s; the links together bring 18."""
_SECONDS = {LOOPBACK: 6, OVER_LINKS: 20}
"""How long a run takes at the limit; links of long paths are slow to start and to end."""
_LABELS = {LOOPBACK: "loopback", OVER_LINKS: "the unequal links"}
_MB = 1_000_000


def limits(bench: Bench) -> list[Section]:
    """Measure every rate over every kind of network."""
    wanted = [name for name in NAMES[LIMIT] if bench.wants(LIMIT, name)]
    if not wanted:
        return []
    lengths = " and ".join(str(seconds) for seconds in _SECONDS.values())
    section = Section(
        f"--limit-rate, {lengths} s at the limit, three sources (nginx)",
        ["", "limit MB/s", "received over time, of the limit", "from - to"],
    )
    missing = {LOOPBACK: "" if bench.has("nginx") else "nginx is not installed"}
    missing[OVER_LINKS] = missing[LOOPBACK] or why_not()
    worst = 0.0
    for name in wanted:
        if missing[name]:
            section.notes.append(f"{_LABELS[name]}: not measured: {missing[name]}")
            continue
        for rate in _RATES[name]:
            say(f"{LIMIT}: {rate} MB/s over {_LABELS[name]}")
            try:
                shares = _measure(bench, name, rate * _MB)
            except regather.InterruptedDownload:
                raise KeyboardInterrupt from None  # for all of the benchmark, not for this row
            except (OSError, RuntimeError, ValueError, regather.RegatherError) as error:
                section.results.append(Result(name, _LABELS[name], problem=f"FAILED: {error}"))
                section.rows.append([_LABELS[name], f"{rate}", "FAILED", "-"])
                section.notes.append(f"{_LABELS[name]}, {rate} MB/s: {error}")
                continue
            share = statistics.median(shares)
            worst = max(worst, abs(share - 1))
            span = f"{min(shares):.3f} - {max(shares):.3f}"
            section.rows.append([_LABELS[name], f"{rate}", f"{share:.3f}", span])
            section.metrics[LIMIT] = worst
    return [section]


def _measure(bench: Bench, name: str, rate: int) -> list[float]:
    """Bytes received a second, of ``rate``, by run."""
    folder = bench.scratch.memory / LIMIT
    folder.mkdir()
    try:
        original = generate(folder / "file.bin", min(rate * _SECONDS[name], bench.size))
        copies = len(LINKS) if name == OVER_LINKS else 1
        site = split_for_servers(original, folder / "site", replicas=copies)
        if site.problem:
            raise RuntimeError(site.problem)
        dest = folder / "out" / original.path.name
        shares = []
        with ExitStack() as stack:
            urls, where = _serve(stack, name, site, original.path.name)
            for _ in range(min(bench.runs, SLOW_RUNS)):
                empty(dest.parent)
                with where():
                    report = regather.download(
                        str(site.manifest),
                        dest,
                        servers=urls,
                        settings=regather.Settings(limit_rate=rate, sync=False),
                    )
                if wrong := differs(original.path, [dest]):
                    raise RuntimeError(f"WRONG: {wrong}")
                shares.append(report.received / report.seconds / rate)
        return shares
    finally:
        shutil.rmtree(folder)


Where = Callable[[], AbstractContextManager[None]]


def _serve(stack: ExitStack, name: str, site: Site, file: str) -> tuple[Sequence[str], Where]:
    if name == OVER_LINKS:
        lab = stack.enter_context(Lab(site, file))
        return lab.nginx, lab.star.client.entered
    return [stack.enter_context(Nginx(root)).url for root in site.roots], nullcontext
