"""Any k of n servers, over real sockets: lost, killed and lying ones, resumed, as plain lists."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

import regather
from regather.cluster import server_folders
from regather.engine.decoder import Decoder
from tests.support.files import MIB, alone, leftovers, random_file
from tests.support.hosting import Hosting
from tests.support.small import small_pieces

SIZE = 20 * MIB + 4321
NAME = "original.bin.regather.json"
QUICK = regather.Settings(timeout=1.0, connect_timeout=2, retries=2, sync=False)


@dataclass
class Split:
    folder: Path
    content: bytes

    @property
    def manifest(self) -> str:
        return str(alone(self.folder / NAME))

    @property
    def servers(self) -> list[Path]:
        return [self.folder / f"server{n}" for n in range(1, 7)]


def split_for_six(folder: Path) -> Split:
    original = random_file(folder / "original.bin", SIZE)
    regather.split(original, folder / "hosted", fragments=4, parity=2, servers=6)
    return Split(folder / "hosted", original.read_bytes())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Split:
    return split_for_six(tmp_path_factory.mktemp("parity"))


def names(lost: tuple[int, ...]) -> tuple[str, ...]:
    return tuple(
        f"file_fragment_{n + 1}.dat" if n < 4 else f"file_parity_1_{n - 3}.dat" for n in lost
    )


LOSSES = [lost for count in range(3) for lost in itertools.combinations(range(6), count)]


@pytest.mark.parametrize("lost", LOSSES)
def test_every_choice_of_two_lost_servers(
    made: Split, tmp_path: Path, lost: tuple[int, ...]
) -> None:
    with Hosting() as hosting:
        urls = [hosting.serve(f).url for n, f in enumerate(made.servers) if n not in lost]
        report = regather.download(made.manifest, tmp_path / "out", servers=urls, settings=QUICK)
    assert (tmp_path / "out").read_bytes() == made.content
    assert not leftovers(tmp_path)
    # A server that a busy machine makes look slow may be asked for a piece that comes otherwise.
    assert report.received <= 1.1 * SIZE + len(urls) * MIB
    if any(n < 4 for n in lost):  # else only where a busy machine makes a server look slow
        assert report.decoded
    assert report.decoded <= -(-SIZE // 4 // MIB) + 1, "a row was computed twice"


@pytest.mark.parametrize("lost", list(itertools.combinations(range(6), 3)))
def test_three_lost_servers_are_too_many_and_named(
    made: Split, tmp_path: Path, lost: tuple[int, ...]
) -> None:
    dest = tmp_path / "out"
    with Hosting() as hosting:
        urls = [hosting.serve(f).url for n, f in enumerate(made.servers) if n not in lost]
        with pytest.raises(regather.NotEnoughSourcesError) as caught:
            regather.download(made.manifest, dest, servers=urls, settings=QUICK)
        assert caught.value.exit_code == 4
        assert caught.value.missing == names(lost)
        assert not dest.exists()
        # One of them comes back: the same call goes on, with what is there already.
        urls.append(hosting.serve(made.servers[lost[0]]).url)
        report = regather.download(made.manifest, dest, servers=urls, settings=QUICK)
    assert dest.read_bytes() == made.content
    assert report.resumed > 0
    assert not leftovers(tmp_path)


@pytest.fixture(scope="module")
def fine(tmp_path_factory: pytest.TempPathFactory) -> Split:
    """Of many small pieces: what is in flight when a server dies is little of the whole."""
    with small_pieces(64 << 10):
        return split_for_six(tmp_path_factory.mktemp("fine"))


@pytest.mark.parametrize("seed", range(6))
def test_two_killed_in_the_middle_and_one_that_lies(
    fine: Split, hosting: Hosting, tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(seed)
    killed = rng.sample(range(6), 2)
    liar = rng.choice([n for n in range(6) if n not in killed])
    moment = rng.uniform(0.1, 0.8)
    servers = [
        hosting.serve(
            folder, faults=["slow:10MB", *(["corrupt@0.1"] if n == liar else [])], seed=seed
        )
        for n, folder in enumerate(server_folders(fine.folder))
    ]
    ordered: Counter[tuple[int, int]] = Counter()
    submit = Decoder.submit

    def count(
        self: Decoder, number: int, row: int, *rest: tuple[int, ...], by_callers: bool
    ) -> None:
        ordered[number, row] += 1
        submit(self, number, row, *rest, by_callers=by_callers)

    monkeypatch.setattr(Decoder, "submit", count)
    done: list[int] = []

    def watch(progress: regather.Progress) -> None:
        if not done and progress.done >= moment * SIZE:
            for n in killed:
                hosting.kill(servers[n])
                done.append(n)

    report = regather.download(
        fine.manifest,
        tmp_path / "out",
        servers=[server.url for server in servers],
        on_progress=watch,
        settings=regather.Settings(timeout=2.0, sync=False),
    )
    assert (tmp_path / "out").read_bytes() == fine.content
    assert done == killed
    assert report.received <= 1.1 * SIZE
    assert sum(ordered.values()) <= len(ordered) + 1, "rows were computed twice"


def test_parity_fetched_by_an_earlier_run_is_used(made: Split, tmp_path: Path) -> None:
    dest = tmp_path / "out"
    with Hosting() as hosting:
        parity = [hosting.serve(f).url for f in made.servers[4:]]
        data = [hosting.serve(f).url for f in made.servers[:4]]
        # Fragments 1 to 3 are lost: what parity there is, is fetched or not, and kept.
        with pytest.raises(regather.NotEnoughSourcesError):
            regather.download(made.manifest, dest, servers=data[3:] + parity[:1], settings=QUICK)
        report = regather.download(made.manifest, dest, servers=data, settings=QUICK)
        assert dest.read_bytes() == made.content
        assert report.received <= SIZE


def test_a_list_of_fragments_with_a_manifest_is_verified(made: Split, tmp_path: Path) -> None:
    with Hosting() as hosting:
        urls = [
            hosting.serve(folder).url + name
            for folder, name in zip(made.servers, names(tuple(range(6))), strict=True)
        ]
        report = regather.download(
            made.manifest, tmp_path / "out", fragments=urls[1:], settings=QUICK
        )
        assert (tmp_path / "out").read_bytes() == made.content
        assert report.verified
        assert report.decoded
        with pytest.raises(regather.UsageError, match="no fragment of that name"):
            regather.download(
                made.manifest, tmp_path / "other", fragments=[hosting.serve(made.folder).url + "x"]
            )


def test_several_sets_and_unequal_fragments(tmp_path: Path) -> None:
    original = random_file(tmp_path / "f", 11 * MIB + 17)
    out = tmp_path / "out"
    regather.split(original, out, chunk_size=2 * MIB + 5, parity=1, set_size=2, servers=6)
    with Hosting() as hosting:
        for gone in range(6):
            urls = [hosting.serve(out / f"server{n + 1}").url for n in range(6) if n != gone]
            dest = tmp_path / f"copy{gone}"
            regather.download(str(out / "f.regather.json"), dest, servers=urls, settings=QUICK)
            assert dest.read_bytes() == original.read_bytes()


def test_parity_that_waited_on_disk_is_not_part_of_the_file(
    made: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What does not fit into memory waits behind the end of the partial."""
    monkeypatch.setattr("regather.engine.decoder._PARITY_BYTES", 0)
    monkeypatch.setattr("regather.engine.decoder._DATA_BYTES", 0)
    with Hosting() as hosting:
        urls = [hosting.serve(made.servers[n]).url for n in (1, 2, 4, 5)]
        report = regather.download(made.manifest, tmp_path / "x", servers=urls, settings=QUICK)
    assert report.decoded
    assert (tmp_path / "x").read_bytes() == made.content
