"""Split and download with any code up to 10+4, and any servers lost: whole runs over sockets."""

from __future__ import annotations

import random
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

import regather
from tests.support.files import alone, leftovers
from tests.support.hosting import Hosting
from tests.support.small import small_pieces

MOST_DATA, MOST_PARITY = 10, 4
IMPATIENT = regather.Settings(timeout=10, connect_timeout=5, retries=0, sync=False)
GONE = ("refuses", "is empty", "is busy")
"""Ways in which a server has nothing for us."""


@dataclass(frozen=True)
class Case:
    k: int
    m: int
    size: int
    chunk_size: int | None
    piece_size: int
    lost: dict[int, str]
    """What is wrong with which server, from 0."""

    @property
    def names(self) -> list[str]:
        """A fragment a server, data first."""
        data = [f"file_fragment_{n}.dat" for n in range(1, self.k + 1)]
        return data + [f"file_parity_1_{n}.dat" for n in range(1, self.m + 1)]


@st.composite
def cases(draw: st.DrawFn, *, too_many: bool) -> Case:
    k, m = draw(st.integers(1, MOST_DATA)), draw(st.integers(0, MOST_PARITY))
    piece_size = draw(st.sampled_from([1024, 4096]))
    if draw(st.booleans()):  # as equal as can be, often with a last piece that is not full
        size, chunk_size = draw(st.integers(k, 8 * piece_size * k)), None
    else:  # the last fragment much shorter than the others, so that rows have fewer members
        chunk_size = draw(st.integers(1, 8 * piece_size))
        size = chunk_size * (k - 1) + draw(st.integers(1, chunk_size))
    count = m + 1 if too_many else draw(st.integers(min(1, m), m))
    servers = draw(st.permutations(range(k + m)))[:count]
    ways = GONE if too_many else (*GONE, "lies")
    lost = {n: draw(st.sampled_from(ways)) for n in sorted(servers)}
    return Case(k, m, size, chunk_size, piece_size, lost)


@dataclass
class Park:
    """As many servers as the largest code needs, for all examples: each is a folder below a root.

    There are twice as many: some always answer that they are busy.
    """

    root: Path
    good: list[str]
    busy: list[str]
    refusing: str
    used: int = 0

    def host(self, case: Case) -> tuple[Path, Path, list[str]]:
        """Split a new file; returns it, its manifest and the URLs of the servers."""
        self.used += 1
        name = f"case{self.used}"
        original = self.root / name / "file.bin"
        original.parent.mkdir()
        original.write_bytes(random.Random(case.size).randbytes(case.size))
        out = original.parent / "hosted"
        with small_pieces(case.piece_size):
            made = regather.split(
                original,
                out,
                fragments=None if case.chunk_size else case.k,
                chunk_size=case.chunk_size,
                parity=case.m,
                servers=case.k + case.m,
            )
        assert (made.piece_size, [f.name for f in made.fragments]) == (case.piece_size, case.names)
        urls = []
        for n, fragment in enumerate(case.names):
            held = out / f"server{n + 1}" / fragment
            assert held.is_file()
            way = case.lost.get(n)
            base = {"refuses": self.refusing, "is busy": self.busy[n]}.get(way or "", self.good[n])
            urls.append(f"{base}{name}/hosted/server{n + 1}/")
            if way == "is empty":
                held.unlink()
            elif way == "lies":
                held.write_bytes(bytes(b ^ 0x55 for b in held.read_bytes()))
        return original, alone(out / "file.bin.regather.json"), urls

    def clear(self) -> None:
        shutil.rmtree(self.root / f"case{self.used}")


@pytest.fixture(scope="module")
def park(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Park]:
    root = tmp_path_factory.mktemp("park")
    most = range(MOST_DATA + MOST_PARITY)
    with Hosting() as hosting, socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # ours for as long as nobody may listen there
        yield Park(
            root,
            [hosting.serve(root).url for _ in most],
            [hosting.serve(root, faults=["error:503"]).url for _ in most],
            f"http://127.0.0.1:{bound.getsockname()[1]}/",
        )


ANY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@settings(ANY, max_examples=60)
@given(case=cases(too_many=False))
def test_as_many_lost_as_there_is_parity(park: Park, case: Case) -> None:
    event(f"{len(case.lost)} of {case.m} lost")
    original, manifest, urls = park.host(case)
    dest = original.parent / "copy.bin"
    report = regather.download(str(manifest), dest, servers=urls, settings=IMPATIENT)
    assert dest.read_bytes() == original.read_bytes()
    assert leftovers(dest.parent) == []
    if any(n < case.k for n in case.lost):
        assert report.decoded
    park.clear()


@settings(ANY, max_examples=60)
@given(case=cases(too_many=True))
def test_one_more_lost_is_one_too_many(park: Park, case: Case) -> None:
    original, manifest, urls = park.host(case)
    dest = original.parent / "copy.bin"
    with pytest.raises(regather.NotEnoughSourcesError) as caught:
        regather.download(str(manifest), dest, servers=urls, settings=IMPATIENT)
    assert caught.value.exit_code == 4
    assert caught.value.missing == tuple(case.names[n] for n in case.lost)
    assert not dest.exists()
    park.clear()
