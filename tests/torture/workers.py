"""Processes that try points beside each other, each in a folder of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.util import Finalize
from pathlib import Path

from tests.torture.disk import Tree
from tests.torture.harness import Work, tried
from tests.torture.powercuts import replayed
from tests.torture.recorder import Point, Recorder
from tests.torture.works import works


@contextmanager
def own(base: Path) -> Iterator[tuple[Path, Recorder, dict[str, Work]]]:
    """A recorder and all works, in a folder of their own."""
    base.mkdir()
    recorder = Recorder(base)
    try:
        with works(base, recorder) as all_works:
            yield base / "run", recorder, {work.name: work for work in all_works}
    finally:
        recorder.close()


_stack = ExitStack()
_here: list[tuple[Path, Recorder, dict[str, Work]]] = []
"""In a worker: what is its own."""


def begin(base: str, count: Synchronized[int]) -> None:
    """In a worker, once: ``count`` is the number of workers that have begun."""
    with count.get_lock():
        count.value += 1
        number = count.value
    Finalize(None, _stack.close, exitpriority=1)
    _here.append(_stack.enter_context(own(Path(base) / name_of(number))))


def name_of(number: int) -> str:
    """The folder of a worker; that of the recorded run is number 0."""
    return f"worker-{number:02}"


def attempt(name: str, point: Point) -> tuple[bool, str]:
    """In a worker: its folder is another one than that of the recorded run."""
    folder, recorder, all_works = _here[0]
    point = dataclasses.replace(point, key=point.key.replace(name_of(0), folder.parent.name))
    return tried(all_works[name], recorder, folder, point)


def replay(name: str, tree: Tree) -> str:
    """In a worker: the same command after a loss of power."""
    folder, recorder, all_works = _here[0]
    return replayed(all_works[name], recorder, folder, tree)
