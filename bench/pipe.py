"""``get -o -`` into ``cat``, beside ``get`` to a file: three servers with the whole file each."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.support.nginx import Nginx

from bench import tools
from bench.data import differs, empty
from bench.model import Row, Section
from bench.rounds import Bench, comparison, ratio, run_rounds
from bench.transfer import split_for_servers

PIPE = "pipe"
NAMES = {PIPE: ("pipe-file", "pipe-cat", "pipe-floor", "pipe-curl")}


def pipe(bench: Bench) -> list[Section]:
    """Measure a download to a file and to a pipe, and the floor and curl to a pipe."""
    if not bench.wants_any(NAMES) or not bench.has("nginx", "sh"):
        return []
    original, out = bench.original, bench.scratch.memory / "out"
    dest, code = out / original.path.name, out / "code"
    site = split_for_servers(original, bench.scratch.memory / "replicas", replicas=3)
    try:
        with ExitStack() as stack:
            urls = [stack.enter_context(Nginx(root)).url for root in site.roots]
            get = tools.get(site.manifest, urls, Path("-"))

            def row(name: str, label: str, command: Sequence[str], piped: bool) -> Row:
                return Row(
                    name=name,
                    label=label,
                    command=_to_cat(command, code) if piped else tuple(command),
                    size=original.size,
                    prepare=lambda: empty(out),
                    check=lambda: _failure(code) if piped else differs(original.path, [dest]),
                )

            rows = [
                row("pipe-file", "get to a file", tools.get(site.manifest, urls, dest), False),
                row("pipe-cat", "get -o - into cat", get, True),
            ]
            whole = [url + original.path.name for url in urls]
            floor = tools.floor(whole, Path("-"), original.size)
            rows.append(row("pipe-floor", "floor into cat (receive, BLAKE3, write)", floor, True))
            if bench.has("curl"):
                url = whole[0]
                rows.append(
                    row("pipe-curl", "curl into cat, unverified", ["curl", "-s", url], True)
                )
            results = run_rounds(PIPE, bench.pick(PIPE, rows), bench.runs, bench.measure)
    finally:
        shutil.rmtree(site.manifest.parent)
    section = comparison(
        "To a pipe, from three servers with the whole file", results, [("file", "pipe-file")]
    )
    found = {result.name: result for result in results}
    speed = ratio(found, "pipe-file", "pipe-cat")  # the longer, the slower
    if speed is not None:
        section.metrics["pipe"] = speed
        section.metrics["pipe-rss"] = found["pipe-cat"].peak_rss
    if site.problem:
        section.notes.append(site.problem)
    return [section]


def _to_cat(command: Sequence[str], code: Path) -> tuple[str, ...]:
    """A shell that sends the output to cat, and notes the exit code of the command."""
    noted = f"echo $? > {shlex.quote(str(code))}"
    return "sh", "-c", f"{{ {shlex.join(command)}; {noted}; }} | cat >/dev/null"


def _failure(code: Path) -> str:
    told = code.read_text().strip()
    return "" if told == "0" else f"exit code {told}"
