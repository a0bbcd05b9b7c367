"""What users of other gateways, relays and caches complain of, and the test of each."""

from __future__ import annotations

import random
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from regather.gateway.launch import GatewayServer
from regather.sources.settings import Settings
from regather.store.disk_cache import DiskCache
from tests.gateway.support import asking, content_of, eventually, get, received, started
from tests.support.hosting import Hosting
from tests.support.net import HOST, free_port
from tests.support.small import Small, small

PIECE = 16 << 10
PIECES = 64
TESTS = {
    "T1 a source that ignores ranges": "test_relays.test_a_source_that_ignores_ranges",
    "T2 wrong bytes": "test_many_readers.test_a_source_that_sends_wrong_bytes",
    "T3 waits without end": "test_many_readers.test_all_sources_silent",
    "T4 a dead parent": "test_complaints.test_a_dead_parent_is_not_waited_for",
    "T5 a parent that breaks off": "test_relays.test_a_parent_is_killed",
    "T6 many cold clients": "test_many_readers.test_many_cold_clients_cost_one_fetch",
    "T7 eviction of what is used": "test_cache.test_the_limit_holds_and_all_is_served",
    "T8 a full disk": "test_cache.test_a_disk_that_is_full_or_fails",
    "T9 slow clients": "test_many_readers.test_slow_clients_hold_nothing",
    "T10 a range that waits for the rest": "test_many_readers."
    "test_a_cold_range_near_the_end_does_not_wait_for_the_rest",
    "T11 several ranges": "test_gateway.test_ranges_and_conditions",
    "T12 odd ranges": "test_range_headers.test_a_gateway_answers_as_serve_does",
    "T13 ranges across borders": "test_ranges.test_any_range_cold_warm_and_partly_dropped",
    "T14 parts that are kept": "test_complaints.test_no_part_of_a_piece_is_ever_kept",
    "T15 a crash": "test_cache.test_killed_at_random_moments",
    "T16 a limit on the whole time": "test_complaints.test_what_makes_progress_is_not_cut",
    "T17 two processes": "test_cache.test_two_processes_on_one_cache",
    "T18 levels that add up": "test_complaints.test_three_levels_pass_on_piece_by_piece",
    "T19 metrics that grow": "test_complaints.test_metrics_do_not_grow_with_requests",
    "T20 a client that left": "test_many_readers.test_who_leaves_frees_its_window",
    "T21 what happens when it is full": "test_complaints.test_what_a_full_cache_does_is_documented",
}


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> tuple[Small, Path]:
    """1 MiB in two fragments and their parity."""
    made = small([PIECES // 2 * PIECE] * 2, parity=1, piece=PIECE)
    folder = tmp_path_factory.mktemp("complaints")
    made.write(folder, {"1": [1], "2": [2], "3": [3], "all": [1, 2]})
    return made, folder


def over(part: tuple[Small, Path], hosting: Hosting, *urls: str, **how: object) -> GatewayServer:
    return started(hosting, [part[1] / "small.regather.json"], servers=urls, **how)  # type: ignore[arg-type]


def test_each_has_its_test() -> None:
    assert [name.partition(" ")[0] for name in TESTS] == [f"T{n}" for n in range(1, 22)]
    for place in TESTS.values():
        module, _, name = place.partition(".")
        assert f"\ndef {name}(" in (Path(__file__).parent / f"{module}.py").read_text()


@contextmanager
def accepting_nothing() -> Iterator[str]:
    """An address where connections are neither accepted nor refused: its queue is full."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.create_server((HOST, 0), backlog=0))
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield f"http://{HOST}:{listening.getsockname()[1]}/"


@pytest.mark.parametrize("how", ["refuses", "accepts nothing", "answers nothing"])
def test_a_dead_parent_is_not_waited_for(
    part: tuple[Small, Path], hosting: Hosting, how: str
) -> None:
    """With limits of an hour, the client has all within its own patience."""
    with ExitStack() as stack:
        if how == "refuses":
            dead = f"http://{HOST}:{free_port()}/"
        elif how == "accepts nothing":
            dead = stack.enter_context(accepting_nothing())
        else:
            dead = hosting.serve(part[1] / "all", faults=["stall"]).url
        parent = over(part, hosting, hosting.serve(part[1] / "all").url)
        patient = Settings(timeout=3600, connect_timeout=3600, retries=2)
        relay = over(part, hosting, dead, parent.url, settings=patient)
        assert get(relay.url, "small").body == content_of(part[0])


def test_no_part_of_a_piece_is_ever_kept(
    part: tuple[Small, Path], hosting: Hosting, tmp_path: Path
) -> None:
    """A source that ends or breaks at any byte, and clients that leave at any byte."""
    faults = ["truncate@0.4", "reset@0.4", "corrupt@0.2"]
    bad = hosting.serve(part[1] / "all", faults=faults, seed=3).url
    good = hosting.serve(part[1] / "all").url
    cache = tmp_path / "cache"
    gateway = over(part, hosting, bad, good, cache=cache, free_space=0)
    rng, content = random.Random(1), content_of(part[0])
    for _ in range(20):
        start = rng.randrange(len(content))
        with closing(asking(gateway.url, "small", Range=f"bytes={start}-")) as leaving:
            leaving.recv(rng.randrange(1, 4 * PIECE))
    assert eventually(lambda: gateway.catalogue.files[0].readers == 0)
    assert get(gateway.url, "small").body == content
    hosting.run(gateway.stop())
    with closing(DiskCache(cache, 1 << 30, free_share=0)) as left:
        found = left.open(part[0].manifest.layout, bytes.fromhex(part[0].manifest.digest))
        assert len(found.numbers()) >= PIECES
        assert all(map(found.verify, found.numbers()))


def test_what_makes_progress_is_not_cut(part: tuple[Small, Path], hosting: Hosting) -> None:
    """It takes several times as long as a source may be silent."""
    slow = hosting.serve(part[1] / "all", faults=["slow:500kB"]).url
    gateway = over(part, hosting, slow, settings=Settings(timeout=0.5, retries=20))
    answer = get(gateway.url, "small")
    assert (answer.whole, answer.body) == (True, content_of(part[0]))


def test_three_levels_pass_on_piece_by_piece(part: tuple[Small, Path], hosting: Hosting) -> None:
    """The first bytes are there while most of the file is still at its origin."""
    slow = hosting.serve(part[1] / "all", faults=["slow:300kB"]).url
    first = over(part, hosting, slow)
    second = started(hosting, [f"{first.url}small.regather.json"])
    third = started(hosting, [f"{second.url}small.regather.json"])
    with closing(asking(third.url, "small")) as connection, connection.makefile("rb") as stream:
        while stream.readline().strip():
            pass
        assert stream.read(PIECE) == content_of(part[0])[:PIECE]
        assert received(first) < PIECES // 2 * PIECE


def test_metrics_do_not_grow_with_requests(part: tuple[Small, Path], hosting: Hosting) -> None:
    gateway = over(part, hosting, hosting.serve(part[1] / "all").url)

    def series() -> set[str]:
        text = get(gateway.url, "-/metrics").body.decode()
        return {line.rpartition(" ")[0] for line in text.splitlines() if line[:1] != "#"}

    def ask(n: int) -> None:
        get(gateway.url, f"nothing/{n}")
        get(gateway.url, f"small?{n}", Range=f"bytes={n}-{2 * n}", User_Agent=f"agent {n}")
        get(gateway.url, "small", method="HEAD", If_None_Match=f'"{n}"')

    for n in range(1, 4):
        ask(n)
    series()
    before = series()
    for n in range(1000, 1040):
        ask(n)
    assert series() == before


def test_what_a_full_cache_does_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs/gateway.md").read_text()
    for situation in ("the cache is full", "the disk is full, fails", "there is no room"):
        assert re.search(rf"^\| {situation}[^|]*\| [^|]{{40,}}\|$", text, re.MULTILINE)
