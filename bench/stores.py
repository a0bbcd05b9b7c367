"""Put and get through us and through obstore alone, against the same object store in one run.

The store is OpenStack Swift, three storage nodes and a proxy, which ``make stores`` makes; on the
two cores that it shares with its clients it is the store that is waited for.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import obstore
from tests.support.swift import PYTHON, Swift

from bench import tools
from bench.data import Original, differs, empty, generate
from bench.model import MIB, Row, Section
from bench.rounds import SLOW_RUNS, Bench, comparison, ratio, run_rounds, say

STORES = "stores"
PUT, PUT_ALONE, GET, GET_ALONE = (
    f"{STORES}-{n}" for n in ("put", "put-obstore", "get", "get-obstore")
)
NAMES = {STORES: (PUT, PUT_ALONE, GET, GET_ALONE)}
SIZE = 256 * MIB
FRAGMENTS = 16
CONNECTIONS = 4
_ALONE = Path(__file__).with_name("obstore_alone.py")


def stores(bench: Bench) -> list[Section]:
    """Measure putting, then getting."""
    wanted = [name for name in NAMES[STORES] if bench.wants(STORES, name)]
    if not wanted:
        return []
    if not PYTHON.exists():
        note = "not measured: there is no object store here; run `make stores`"
        return [Section("Object store", [""], notes=[note])]
    folder = bench.scratch.memory / STORES
    folder.mkdir()
    try:
        original = generate(folder / "file.bin", min(SIZE, bench.size))
        say(f"{STORES}: starting Swift")
        with Swift(folder / "swift") as swift, _reachable(swift):
            return [_put(bench, original, swift), _get(bench, original, swift, folder / "out")]
    finally:
        shutil.rmtree(folder)


@contextmanager
def _reachable(swift: Swift) -> Iterator[None]:
    """Commands that are started meanwhile find the store by their environment."""
    before = dict(os.environ)
    os.environ |= swift.environment()
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _alone(what: str, bucket: str, path: Path) -> tuple[str, ...]:
    return (sys.executable, str(_ALONE), what, bucket, str(path), str(FRAGMENTS), str(CONNECTIONS))


def _publish(path: Path, target: str) -> tuple[str, ...]:
    how = ("--fragments", str(FRAGMENTS), "--connections", str(CONNECTIONS), "--quiet")
    return (tools.find_regather() or "regather", "publish", str(path), "--to", target, *how)


def _put(bench: Bench, original: Original, swift: Swift) -> Section:
    bucket = swift.bucket()
    client = swift.client(bucket)

    def clear() -> None:
        for batch in obstore.list(client):
            for one in batch:
                obstore.delete(client, one["path"])

    def check() -> str:
        names = [f"file_fragment_{n}.dat" for n in range(1, FRAGMENTS + 1)]
        there = bench.scratch.memory / STORES / "there"
        with there.open("wb") as file:
            for name in names:
                file.write(obstore.get(client, name).bytes())
        wrong = differs(original.path, [there])
        there.unlink()
        return wrong

    commands = {
        PUT: ("regather publish, what landed verified", _publish(original.path, f"s3://{bucket}/")),
        PUT_ALONE: ("obstore alone, put", _alone("put", bucket, original.path)),
    }
    rows = [
        Row(name, label, command, original.size, clear, check)
        for name, (label, command) in commands.items()
    ]
    results = run_rounds(
        STORES, bench.pick(STORES, rows), min(bench.runs, SLOW_RUNS), bench.measure
    )
    what = f"{original.size // MIB} MiB in {FRAGMENTS} objects, {CONNECTIONS} at once"
    section = comparison(f"Put into Swift, {what}", results, [("obstore", PUT_ALONE)])
    if share := ratio({r.name: r for r in results}, PUT_ALONE, PUT):
        section.metrics[PUT] = share
    return section


def _get(bench: Bench, original: Original, swift: Swift, out: Path) -> Section:
    bucket = swift.bucket()
    # Both get the same objects; only the names that obstore alone knows them by are others.
    stored = bench.measure(
        Row("", "", _publish(original.path, f"s3://{bucket}/"), original.size, lambda: None, str)
    )
    dest = out / original.path.name
    manifest = f"s3://{bucket}/{original.path.name}.regather.json"
    commands = {
        GET: (
            "regather get, verified",
            (tools.find_regather() or "regather", "get", manifest, "-o", str(dest), "--quiet"),
        ),
        GET_ALONE: ("obstore alone, get, unverified", _alone("get", bucket, dest)),
    }
    rows = [
        Row(
            name,
            label,
            command,
            original.size,
            lambda: empty(out),
            lambda: differs(original.path, [dest]),
        )
        for name, (label, command) in commands.items()
    ]
    results = run_rounds(
        STORES, bench.pick(STORES, rows), min(bench.runs, SLOW_RUNS), bench.measure
    )
    section = comparison("Get from Swift, the same", results, [("obstore", GET_ALONE)])
    if stored.problem:
        section.notes.append(f"publish: {stored.problem}")
    if share := ratio({r.name: r for r in results}, GET_ALONE, GET):
        section.metrics[GET] = share
    return section
