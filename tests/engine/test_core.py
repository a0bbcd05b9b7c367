"""The engine over real sockets: sources that come while it runs."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from regather.engine import Ending, Engine, SourceTally
from regather.model import FragmentPosition, Source
from regather.planner import Planner
from regather.store import Destination
from regather.transport import TransportOptions, open_connection
from tests.support.hosting import Hosting
from tests.support.net import PATIENCE, wait_until
from tests.support.rogue import Rogue
from tests.support.small import Small, small


class Job:
    """A file that is fetched from servers, of which one is known at the start."""

    def __init__(self, part: Small, first: Source, folder: Path) -> None:
        self.part = part
        layout = part.manifest.layout
        self.destination = Destination(folder / "out", layout, bytes(32))
        self.tallies = [SourceTally(first.url)]
        self.planner = Planner(layout, [first.fragments], rng=random.Random(1), more_sources=True)
        self.engine = Engine(
            self.planner,
            layout,
            [first],
            self.destination,
            lambda url: open_connection(url, TransportOptions(timeout=20)),
            self.tallies,
        )

    def add(self, url: str) -> SourceTally:
        tally = SourceTally(url)
        self.engine.add_source(Source(url), tally)
        return tally

    def is_whole(self) -> bool:
        self.destination.finish(sync=False)
        data = self.part.names[: self.part.manifest.layout.data_count]
        whole = b"".join(self.part.content[name] for name in data)
        return self.destination.path.read_bytes() == whole


def test_a_source_that_comes_while_another_one_stalls_brings_the_file(tmp_path: Path) -> None:
    part = small([20_000, 15_000])
    part.write(tmp_path, {"here": [1, 2]})
    over = threading.Event()

    def say_nothing(head: bytes, connection: socket.socket) -> None:
        over.wait(30)

    with Hosting() as hosting, Rogue(say_nothing) as silent:
        good = hosting.serve(tmp_path / "here")
        job = Job(part, Source(silent.url), tmp_path)
        endings: list[Ending] = []
        thread = threading.Thread(target=lambda: endings.append(job.engine.run()))
        thread.start()
        wait_until(lambda: bool(silent.requests), what="a request to the first source")
        tally = job.add(good.url)
        thread.join(30)
        over.set()
    assert endings == [Ending()]
    assert job.is_whole()
    assert tally.received >= 30_000


def test_a_source_that_comes_when_nothing_else_is_left_brings_the_rest(tmp_path: Path) -> None:
    part = small([20_000, 15_000])
    part.write(tmp_path, {"one": [1], "two": [2]})
    asked: list[Sequence[int]] = []
    with Hosting() as hosting:
        one, two = (hosting.serve(tmp_path / name) for name in ("one", "two"))
        job = Job(part, Source(one.url, frozenset({FragmentPosition(0)})), tmp_path)

        def more(fragments: Sequence[int]) -> bool:
            asked.append(fragments)
            job.add(two.url)
            return True

        assert job.engine.run(more=more) == Ending()
    assert asked == [(1,)]
    assert job.is_whole()


def test_where_nobody_comes_it_is_given_up(tmp_path: Path) -> None:
    part = small([20_000, 15_000])
    part.write(tmp_path, {"one": [1]})
    with Hosting() as hosting:
        job = Job(part, Source(hosting.serve(tmp_path / "one").url), tmp_path)
        assert job.engine.run(more=lambda fragments: False) == Ending((1,))
        assert job.engine.done_bytes == 20_000
    job.destination.close()


@pytest.mark.parametrize(
    ("sizes", "here", "seconds"),
    [
        pytest.param([500 << 10], [1], 60, id="received"),
        pytest.param([300 << 10] * 2, [1, 3], 0.1, id="computed"),
    ],
)
def test_who_waits_for_the_end_is_not_woken_by_each_piece(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sizes: list[int],
    here: list[int],
    seconds: float,
) -> None:
    """Only when the planner, or a row to compute, wants it earlier than it would wake by itself."""
    part = small(sizes, parity=len(sizes) - 1, piece=1024)
    part.write(tmp_path, {"one": here})
    woken = 0
    with Hosting() as hosting:
        job = Job(part, Source(hosting.serve(tmp_path / "one").url), tmp_path)
        tell = job.engine.lock.notify_all

        def counted() -> None:
            nonlocal woken
            woken += 1
            tell()

        monkeypatch.setattr(job.engine.lock, "notify_all", counted)
        ending = job.engine.run(watch_seconds=seconds, more=lambda fragments: False)
        assert ending == Ending()
    assert job.is_whole()
    assert job.engine.decoded == (len(sizes) - 1) * 300
    assert woken < 150


def test_a_refused_connection_is_tried_again_before_it_counts(tmp_path: Path) -> None:
    with Hosting() as hosting:
        server = hosting.serve(tmp_path)
        hosting.kill(server)
        job = Job(small([20_000]), Source(server.url), tmp_path)
        thread = threading.Thread(target=job.engine.run)
        thread.start()
        health, tally = job.planner.sources[0], job.tallies[0]
        wait_until(lambda: tally.errors > health.failures + 1, what="attempts that do not count")
        job.engine.end()
        thread.join(PATIENCE)
    assert tally.kinds == {"unreachable": tally.errors}
