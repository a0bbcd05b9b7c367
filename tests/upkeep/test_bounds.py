"""What a hostile manifest costs: memory and steps that grow with what it says, and no faster."""

from __future__ import annotations

import itertools
import random
import sys
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from msgspec.structs import replace

from regather.coding import placement, survival
from regather.coding.survival import Survivals, set_survival
from regather.errors import UsageError
from regather.manifest import Manifest
from regather.model import FragmentIndex, Layout, ManifestSource, Source
from regather.sources.addresses import Address
from regather.sources.manifests import LoadedManifest
from regather.sources.settings import Settings
from regather.upkeep import repair_plan as wants
from regather.upkeep import source_answers as answers
from regather.upkeep import sources
from regather.upkeep import verdict as judge
from regather.upkeep.inspection import check
from regather.upkeep.report import CheckReport, CopyFinding, CopyState
from regather.upkeep.sources import Subject, expected_of
from tests.support.net import free_port
from tests.support.small import small

QUICK = Settings(retries=0, connect_timeout=5)


def many(count: int) -> Manifest:
    """So many fragments, and no source."""
    return small([1] * count).manifest


def lines(call: Callable[[], object], *modules: Any) -> int:
    """How many lines of some modules are run."""
    files = {module.__file__ for module in modules}
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal count
        if frame.f_code.co_filename not in files:
            return None
        count += event == "line"
        return trace

    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(None)
    return count


def test_dead_sources_take_memory_each_and_not_for_each_fragment(tmp_path: Path) -> None:
    port = free_port()

    def peak(count: int) -> int:
        dead = tuple(ManifestSource(f"http://127.0.0.1:{port}/{n}/") for n in range(count))
        path = tmp_path / f"{count}.regather.json"
        path.write_bytes(replace(many(count), sources=dead).to_bytes())
        tracemalloc.start()
        try:
            report = check(path, settings=QUICK)
            assert [f.fragment for f in report.findings] == [""] * count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(10)  # what is imported and made once
    assert peak(600) < 3 * peak(300)


def test_more_copies_than_there_is_room_for_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = small([1] * 20)
    path = made.write(tmp_path, {f"server{n}": list(range(1, 21)) for n in range(1, 4)})
    folders = [tmp_path / f"server{n}" for n in range(1, 4)]
    assert len(check(path, servers=folders, settings=QUICK).findings) == 60
    monkeypatch.setattr(answers.Room.__init__, "__defaults__", (59,))
    with pytest.raises(UsageError, match="more than 59 copies of fragments"):
        check(path, servers=folders, settings=QUICK)


def test_pieces_of_a_wrong_copy_are_in_memory_once() -> None:
    room = answers.Room(most=1000)
    assert room.all_pieces(1600) is room.all_pieces(1600)
    for _ in range(8):
        room.all_pieces(1600)
    with pytest.raises(UsageError):
        room.all_pieces(1600)


def test_which_split_it_may_have_been_is_tried_a_few_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried: list[int] = []

    def spread(layout: Layout, places: int, replicas: int, real: Any = placement.spread) -> Any:
        tried.append(replicas)
        return real(layout, places, replicas)

    monkeypatch.setattr(sources, "spread", spread)
    count = 200
    layout = many(10).layout
    everything = frozenset(range(10))
    places = [Source(f"http://{n}.example/") for n in range(count)]
    assert expected_of(layout, places, [everything] * count) == [everything] * count
    assert len(tried) < 20
    tried.clear()
    assert expected_of(layout, places, [frozenset({0})] * count) == [None] * count
    assert len(tried) < 20


def test_survival_of_many_hard_sets_is_counted_within_bounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done = 0

    def masks(places: int, lost: int) -> Any:
        nonlocal done
        for chosen in itertools.combinations([1 << p for p in range(places)], lost):
            done += 6
            yield sum(chosen)

    monkeypatch.setattr(survival, "_masks", masks)
    monkeypatch.setattr(survival, "_MOST_STEPS", 10_000)
    every = list(itertools.combinations(range(9), 3))
    rng = random.Random(1)
    hard = [rng.sample(every, 6) for _ in range(300)]
    survivals = Survivals()
    found = [survivals.of(holders, 3) for holders in hard]
    assert 0 < done <= 10_000
    for holders, one in zip(hard, found, strict=True):
        right = set_survival(holders, 3, survival.Steps(10**9))
        assert one == right or (not one.exact and one.failures <= right.failures)
    assert not all(one.exact for one in found)


def _lost_everywhere(count: int, places: Sequence[str]) -> tuple[Subject, CheckReport]:
    manifest = many(count)
    loaded = LoadedManifest(manifest, "", b"")
    subject = Subject(loaded, manifest.layout, Address("m"), tuple(map(Source, places)), ("to/",))
    report = CheckReport(
        manifest.name, count, "", "lost", 0.0, 0, tuple(places), (), (), (), (), -1, 0, (), 0, 0.0
    )
    return subject, report


def test_what_to_restore_is_decided_in_steps_by_fragment() -> None:
    def steps(count: int) -> int:
        return lines(lambda: wants.Wants(*_lost_everywhere(count, ["a/", "to/"])), wants)

    assert steps(400) <= 2.2 * steps(200)


def test_the_verdict_takes_steps_by_finding() -> None:
    def steps(count: int) -> int:
        layout = many(count).layout
        found = [
            CopyFinding(f"{n}/", f.name, p, CopyState.OK, True, f.size)
            for n in range(5)
            for p, f in enumerate(layout.fragments)
        ]
        return lines(lambda: judge.judge(layout, found), judge, survival)

    assert steps(400) <= 2.2 * steps(200)


def test_one_source_named_often_holds_what_is_said_in_all_entries() -> None:
    text = many(5).to_bytes().decode()
    entries = ",".join(f'{{"url":"http://a.example","fragments":[{n}]}}' for n in (1, 3, 3, 5))
    named = text.rstrip()[:-1] + f',"sources":[{entries}]}}'
    (source,) = Manifest.from_bytes(named.encode()).sources
    assert source == ManifestSource("http://a.example/", frozenset(map(FragmentIndex, (1, 3, 5))))
    everything = ',{"url":"http://a.example/"}'
    (source,) = Manifest.from_bytes(
        (text.rstrip()[:-1] + f',"sources":[{entries}{everything}]}}').encode()
    ).sources
    assert source == ManifestSource("http://a.example/")
