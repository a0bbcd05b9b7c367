"""The list of a folder's files: in steps, once for all who ask, and true."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from regather.server import listing, threads
from regather.server.listing import Listing
from tests.support.steps import MOST


def visible(name: str) -> bool:
    return not name.startswith(".")


def old(folder: Path) -> None:
    """Make the folder look as if nothing had changed for long."""
    os.utime(folder, (1_000_000_000, 1_000_000_000))


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folders that were read."""
    read: list[str] = []
    scandir = os.scandir

    def note(path: str) -> object:
        read.append(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", note)
    return read


def test_which_names(tmp_path: Path) -> None:
    for name in ("b", "a", ".hidden", "ü", "line\nbreak"):
        (tmp_path / name).touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("a")
    assert asyncio.run(Listing(str(tmp_path), visible).text()) == "a\nb\nü\n"


def test_the_first_thousand_of_many(tmp_path: Path) -> None:
    names = sorted(f"{number * 7919 % 2500:x}" for number in range(2500))
    for name in names:
        (tmp_path / name).touch()
    assert asyncio.run(Listing(str(tmp_path), visible).text()).split() == names[:1000]


def test_a_folder_without_changes_is_read_once(tmp_path: Path, scans: list[str]) -> None:
    (tmp_path / "a").touch()
    old(tmp_path)
    shown = Listing(str(tmp_path), visible)
    assert [asyncio.run(shown.text()) for _ in range(3)] == ["a\n"] * 3
    assert len(scans) == 1
    (tmp_path / "b").touch()
    assert asyncio.run(shown.text()) == "a\nb\n"


def test_changes_within_one_tick_of_the_clock_are_seen(tmp_path: Path) -> None:
    shown = Listing(str(tmp_path), visible)
    for count in range(1, 20):
        (tmp_path / f"{count:02}").touch()
        assert len(asyncio.run(shown.text()).split()) == count


def test_many_who_ask_at_once_wait_for_the_same(tmp_path: Path, scans: list[str]) -> None:
    async def ask(shown: Listing) -> list[str]:
        return await asyncio.gather(*(shown.text() for _ in range(50)))

    (tmp_path / "a").touch()
    assert asyncio.run(ask(Listing(str(tmp_path), visible))) == ["a\n"] * 50
    assert len(scans) == 2, "the one that was running already, and one for all who came later"


def test_who_asks_while_it_is_read_gets_what_came_before_the_question(tmp_path: Path) -> None:
    """One who has stored a file and asks for the list finds it there."""

    async def ask() -> str:
        shown = Listing(str(tmp_path), visible)
        first = asyncio.create_task(shown.text())
        while not shown._lock.locked():
            await asyncio.sleep(0)
        await asyncio.sleep(0.05)
        (tmp_path / "late").touch()
        second = await shown.text()
        await first
        return second

    assert asyncio.run(ask()) == "late\n"


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    shown = Listing(str(tmp_path / "gone"), visible)
    with pytest.raises(FileNotFoundError):
        asyncio.run(shown.text())
    (tmp_path / "gone").mkdir()
    assert asyncio.run(shown.text()) == ""


def test_others_have_their_turn_between_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many files there are, what is done in one go is bounded, and the whole is linear."""
    looked = 0
    steps: list[int] = []
    in_thread = threads.in_thread

    async def counted(work: Callable[..., object], *args: object) -> object:
        before = looked
        done = await in_thread(work, *args)
        steps.append(looked - before)
        return done

    def count(name: str) -> bool:
        nonlocal looked
        looked += 1
        return True

    monkeypatch.setattr(listing, "in_thread", counted)
    totals = []
    for files in (2500, 5000):
        for number in range(files):
            (tmp_path / str(number)).touch()
        looked = 0
        steps.clear()
        asyncio.run(Listing(str(tmp_path), count).text())
        assert looked == files
        assert max(steps) <= 1000
        totals.append(looked + len(steps))
    assert totals[1] <= MOST * totals[0]
