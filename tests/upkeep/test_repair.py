"""What a repair restores, where, and what it says where it cannot."""

from __future__ import annotations

import random
import threading
from collections import Counter
from pathlib import Path

import pytest

from regather.downloader import Settings
from regather.errors import StorageError
from regather.manifest import Manifest
from regather.server.authorization import Tokens
from regather.server.writing import Limits
from regather.upkeep.inspection import check
from regather.upkeep.restoration import repair
from tests.support.hosting import Hosting
from tests.support.small import PIECE, Small, flip, small
from tests.support.tls import issue

SIX = {f"server{n}": [n] for n in range(1, 7)}
TOKEN = "correct-horse"
WRITER = Settings(retries=0, tokens={"127.0.0.1": TOKEN})


@pytest.fixture
def coded() -> Small:
    return small([5000, 4999, 4097, 1024], parity=2)


def everything(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_nothing_to_do(tmp_path: Path, coded: Small) -> None:
    path = coded.write(tmp_path, SIX)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    report = repair(path)
    assert (report.status, report.restored, report.manifests) == ("healthy", (), ())
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")} == before


@pytest.mark.parametrize("seed", range(40))
def test_any_damage_that_parity_covers(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if seed % 2:  # as for rows of many large pieces
        monkeypatch.setattr("regather.upkeep.staging._MOST_IN_MEMORY", 0)
    rng = random.Random(seed)
    k, m = rng.randint(1, 5), rng.randint(1, 3)
    sizes = [rng.choice([0, 1, PIECE - 1, PIECE, 3000, 5000]) for _ in range(k)]
    coded = small(sizes, parity=m, set_size=rng.randint(1, k), seed=seed)
    places = {f"server{n}": [n] for n in range(1, len(coded.names) + 1)}
    path = coded.write(tmp_path, places)
    spoiled: Counter[int] = Counter()
    for n, fragment in enumerate(coded.manifest.fragments, 1):
        file = tmp_path / f"server{n}" / fragment.name
        if spoiled[fragment.set] == m or rng.random() < 0.3:
            continue
        spoiled[fragment.set] += 1
        how = rng.randrange(4)
        if how == 0:
            file.unlink()
        elif how == 1:
            file.write_bytes(file.read_bytes()[: fragment.size // 2])
        elif how == 2:
            file.write_bytes(rng.randbytes(fragment.size))
        elif fragment.size:
            for _ in range(rng.randint(1, 5)):
                flip(file, rng.randrange(8 * fragment.size))
    report = repair(path, temp=tmp_path)
    assert report.status == "healthy", report
    assert coded.wrong(tmp_path) == []
    assert len(everything(tmp_path)) == 2 * len(coded.names) + 1
    assert check(path, read_data=1).status == "healthy"


def test_two_hundred_flips(tmp_path: Path) -> None:
    coded = small([40 * PIECE] * 4, parity=2)
    path = coded.write(tmp_path, SIX)
    rng = random.Random(5)
    flips = 0
    for row in range(40):
        for number in rng.sample(range(1, 7), 2):  # no row loses more than it can bear
            for _ in range(rng.randint(2, 3)):
                bit = 8 * PIECE * row + rng.randrange(8 * PIECE)
                flip(tmp_path / f"server{number}" / coded.names[number - 1], bit)
                flips += 1
    assert flips >= 180
    assert check(path, read_data=1).nowhere == tuple(coded.names)
    report = repair(path)
    assert report.status == "healthy"
    # Good pieces of damaged copies are taken as they are.
    assert report.decoded <= 80
    assert coded.wrong(tmp_path) == []


@pytest.mark.parametrize("seed", range(3))
def test_flips_in_swapped_and_truncated_fragments_too(tmp_path: Path, seed: int) -> None:
    rows, parity = 100, 4
    coded = small([rows * PIECE] * 4, parity=parity)
    path = coded.write(tmp_path, {f"server{n}": [n] for n in range(1, 9)})
    files = [tmp_path / f"server{n}" / name for n, name in enumerate(coded.names, 1)]
    rng = random.Random(seed)
    one, other, short = rng.sample(range(8), 3)
    left = rng.randrange(rows * PIECE)
    content = {n: bytearray(file.read_bytes()) for n, file in enumerate(files)}
    content[one], content[other] = content[other], content[one]
    del content[short][left:]

    def bad(number: int) -> set[int]:
        right, there = coded.content[files[number].name], content[number]
        cuts = range(0, len(right), PIECE)
        return {at // PIECE for at in cuts if right[at : at + PIECE] != there[at : at + PIECE]}

    spoiled = Counter(row for number in range(8) for row in bad(number))
    flips: set[tuple[int, int]] = set()
    while len(flips) < 200:
        number = rng.randrange(8)
        bit = rng.randrange(8 * len(content[number])) if content[number] else 0
        row = bit // 8 // PIECE
        known = row in bad(number)
        if (number, bit) in flips or (not known and spoiled[row] == parity) or not content[number]:
            continue
        flips.add((number, bit))
        spoiled[row] += not known
        content[number][bit // 8] ^= 1 << bit % 8
    for number, file in enumerate(files):
        file.write_bytes(content[number])
    assert {number for number, _ in flips} >= set(range(8)) - {short}

    report = check(path, read_data=1)
    assert report.status == "degraded"
    assert {f.position: set(f.bad) for f in report.findings} == {n: bad(n) for n in range(8)}
    assert repair(path).status == "healthy"
    assert coded.wrong(tmp_path) == []
    assert check(path, read_data=1).status == "healthy"


def test_replicas_help_each_other(tmp_path: Path) -> None:
    plain = small([9000, 9000, 8999])
    path = plain.write(tmp_path, {"server1": [1, 3], "server2": [1, 2], "server3": [2, 3]})
    flip(tmp_path / "server1" / plain.names[0], 0)
    flip(tmp_path / "server2" / plain.names[0], 8 * PIECE)
    (tmp_path / "server3" / plain.names[1]).write_bytes(plain.content[plain.names[0]])
    report = repair(path)
    assert report.status == "healthy"
    assert len(report.restored) == 3
    assert plain.wrong(tmp_path) == []


def test_a_whole_folder_is_restored_with_its_manifest(tmp_path: Path, coded: Small) -> None:
    path = coded.write(tmp_path, SIX)
    for file in (tmp_path / "server2").iterdir():
        file.unlink()
    (tmp_path / "server2").rmdir()
    report = repair(path)
    assert report.status == "healthy"
    assert report.manifests == (f"{tmp_path}/server2/small.regather.json",)
    assert coded.wrong(tmp_path) == []
    assert (tmp_path / "server2/small.regather.json").read_bytes() == path.read_bytes()


def test_quick_finds_corrupt_inputs_and_repairs_them_too(tmp_path: Path, coded: Small) -> None:
    path = coded.write(tmp_path, SIX)
    (tmp_path / "server1" / coded.names[0]).unlink()
    flip(tmp_path / "server2" / coded.names[1], 100)
    report = repair(path, quick=True)
    assert report.status == "healthy"
    assert {r.fragment for r in report.restored} == set(coded.names[:2])
    assert coded.wrong(tmp_path) == []


def test_lost_is_told_exactly(tmp_path: Path) -> None:
    coded = small([10 * PIECE] * 4, parity=2)
    for quick in (False, True):
        path = coded.write(tmp_path, SIX)
        (tmp_path / "server1" / coded.names[0]).unlink()
        for row in (3, 7):
            flip(tmp_path / "server2" / coded.names[1], 8 * PIECE * row)
            flip(tmp_path / "server6" / coded.names[5], 8 * PIECE * row)
        flip(tmp_path / "server6" / coded.names[5], 0)
        before = {n: (tmp_path / f"server{n}" / coded.names[n - 1]).read_bytes() for n in (2, 6)}
        report = repair(path, quick=quick)
        assert report.status == "lost"
        assert {x.fragment: x.rows for x in report.lost} == {
            coded.names[n - 1]: (3, 7) for n in (1, 2, 6)
        }
        # What is left of them stays as it is, for better days.
        assert not (tmp_path / "server1" / coded.names[0]).exists()
        for n, content in before.items():
            assert (tmp_path / f"server{n}" / coded.names[n - 1]).read_bytes() == content


def test_what_is_lost_does_not_hold_up_the_rest(tmp_path: Path) -> None:
    coded = small([3000] * 4, parity=1, set_size=2)
    path = coded.write(tmp_path, SIX)
    for n in (1, 2, 3):
        (tmp_path / f"server{n}" / coded.names[n - 1]).unlink()
    report = repair(path)
    assert report.status == "lost"
    assert [r.fragment for r in report.restored] == [coded.names[2]]
    assert {x.fragment for x in report.lost} == set(coded.names[:2])


def test_servers_that_take_writes(tmp_path: Path, hosting: Hosting, coded: Small) -> None:
    coded.write(tmp_path, SIX)
    servers = [
        hosting.serve(tmp_path / f"server{n}", tokens=Tokens(read="reader", write=TOKEN))
        for n in range(1, 7)
    ]
    there = coded.at({s.url: [n] for n, s in enumerate(servers, 1)})
    path = there.write(tmp_path, {})
    (tmp_path / "server2" / coded.names[1]).unlink()
    flip(tmp_path / "server5" / coded.names[4], 5000)
    reader = Settings(retries=0, tokens={"127.0.0.1": "reader"})
    report = repair(path, settings=reader)
    assert report.status == "incomplete"
    assert {u.name for u in report.unwritten} == {coded.names[1], coded.names[4]}
    report = repair(path, settings=WRITER)
    assert report.status == "healthy"
    assert coded.wrong(tmp_path) == []


def test_tls(tmp_path: Path, hosting: Hosting) -> None:
    plain = small([3000])
    files = issue(tmp_path / "tls")
    one, two = tmp_path / "one", tmp_path / "two"
    plain.write(tmp_path, {"one": [1], "two": []})
    servers = [hosting.serve(p, tokens=Tokens(write=TOKEN), tls=files) for p in (one, two)]
    path = plain.at({s.url: [1] for s in servers}).write(tmp_path, {})
    trusting = Settings(retries=0, tokens={"127.0.0.1": TOKEN}, cacert=str(files.authority))
    assert repair(path, settings=WRITER).status == "lost"  # believes none of them
    assert repair(path, settings=trusting).status == "healthy"
    assert plain.wrong(two) == []


def test_a_dead_server_is_replaced_and_the_manifest_says_so(
    tmp_path: Path, hosting: Hosting, coded: Small
) -> None:
    coded.write(tmp_path, {**SIX, "server3": [3, 1], "new": [], "other": []})
    servers = [
        hosting.serve(tmp_path / f"server{n}", tokens=Tokens(write=TOKEN)) for n in range(1, 7)
    ]
    spare = [hosting.serve(tmp_path / n, tokens=Tokens(write=TOKEN)) for n in ("new", "other")]
    held = {s.url: [n] for n, s in enumerate(servers, 1)} | {servers[2].url: [1, 3]}
    path = coded.at(held).write(tmp_path, {})
    hosting.kill(servers[2])
    hosting.kill(servers[3])
    report = repair(path, settings=WRITER)
    assert report.status == "incomplete"
    assert {u.source for u in report.unwritten} == {servers[2].url, servers[3].url}
    report = repair(path, to=[s.url for s in spare], settings=WRITER)
    assert report.status == "healthy", report
    manifest = Manifest.from_bytes(path.read_bytes())
    now = {s.url: sorted(s.fragments or ()) for s in manifest.sources}
    assert servers[2].url not in now
    assert servers[3].url not in now
    # Members of a set are spread over the new ones.
    assert sorted(n for s in spare for n in now[s.url]) == [1, 3, 4]
    assert all(now[s.url] for s in spare)
    for n in (1, 2, 5, 6):
        copy = tmp_path / f"server{n}" / "small.regather.json"
        assert copy.read_bytes() == path.read_bytes()
    for name in ("new", "other"):
        assert coded.wrong(tmp_path / name) == []
        assert (tmp_path / name / "small.regather.json").read_bytes() == path.read_bytes()
    assert check(path, read_data=1, settings=WRITER).status == "healthy"
    assert repair(path, to=[s.url for s in spare], settings=WRITER).restored == ()


def test_a_server_that_takes_no_writes_is_relieved(tmp_path: Path, hosting: Hosting) -> None:
    plain = small([3000, 3000])
    plain.write(tmp_path, {"server1": [1, 2], "server2": [1, 2], "new": []})
    servers = [hosting.serve(tmp_path / f"server{n}") for n in (1, 2)]
    spare = hosting.serve(tmp_path / "new", tokens=Tokens(write=TOKEN))
    path = plain.at({s.url: [1, 2] for s in servers}).write(tmp_path, {})
    flip(tmp_path / "server1" / plain.names[0], 0)
    assert repair(path, settings=WRITER).status == "incomplete"
    report = repair(path, to=[spare.url], settings=WRITER)
    assert report.status == "healthy"
    assert any("keeps its old manifest" in note for note in report.notes)
    manifest = Manifest.from_bytes(path.read_bytes())
    assert {s.url: sorted(s.fragments or ()) for s in manifest.sources} == {
        servers[0].url: [2],
        servers[1].url: [1, 2],
        spare.url: [1],
    }
    assert check(path, read_data=1).status == "healthy"


def test_a_folder_takes_what_a_dead_server_held(tmp_path: Path, hosting: Hosting) -> None:
    plain = small([3000, 3000])
    plain.write(tmp_path, {"server1": [1, 2], "server2": [1, 2]})
    servers = [hosting.serve(tmp_path / f"server{n}") for n in (1, 2)]
    path = plain.at({s.url: [1, 2] for s in servers}).write(tmp_path, {})
    hosting.kill(servers[0])
    report = repair(path, to=[str(tmp_path / "new")], settings=WRITER)
    assert report.status == "healthy"
    assert any("cannot name folders" in note for note in report.notes)
    assert plain.wrong(tmp_path / "new") == []
    assert set(plain.names) <= set(everything(tmp_path / "new"))
    # It cannot say where they are now, so it still says where they should be.
    assert len(Manifest.from_bytes(path.read_bytes()).sources) == 2


def test_a_manifest_by_url(tmp_path: Path, hosting: Hosting, coded: Small) -> None:
    coded.write(tmp_path, {"all": [1, 2, 3, 4, 5, 6]})
    server = hosting.serve(tmp_path / "all", tokens=Tokens(write=TOKEN))
    (tmp_path / "all" / coded.names[0]).unlink()
    flip(tmp_path / "all" / coded.names[5], 77)
    report = repair(server.url + "small.regather.json", settings=WRITER)
    assert report.status == "healthy"
    assert coded.wrong(tmp_path / "all") == []


def test_the_query_of_a_manifest_is_no_part_of_its_name(tmp_path: Path, hosting: Hosting) -> None:
    """It is written back under the name without the query, which may be a secret."""
    plain = small([3000, 3000])
    plain.write(tmp_path, {"server1": [1, 2], "server2": [1, 2], "new": []})
    servers = [
        hosting.serve(tmp_path / name, tokens=Tokens(write=TOKEN))
        for name in ("server1", "server2", "new")
    ]
    plain.at({s.url: [1, 2] for s in servers[:2]}).write(tmp_path / "server1", {})
    hosting.kill(servers[1])
    before = everything(tmp_path / "server1")
    where = f"{servers[0].url}small.regather.json?signature=abc"
    report = repair(where, to=[servers[2].url], settings=WRITER)
    assert report.status == "healthy"
    assert everything(tmp_path / "server1") == before
    written = Manifest.from_bytes((tmp_path / "server1" / "small.regather.json").read_bytes())
    assert {s.url for s in written.sources} == {servers[0].url, servers[2].url}


def test_no_room_at_a_server(tmp_path: Path, hosting: Hosting) -> None:
    plain = small([3000, 1000])
    plain.write(tmp_path, {"server1": [1, 2], "server2": []})
    full = hosting.serve(
        tmp_path / "server2", tokens=Tokens(write=TOKEN), limits=Limits(upload=2000)
    )
    good = hosting.serve(tmp_path / "server1")
    path = plain.at({good.url: [1, 2], full.url: [1, 2]}).write(tmp_path, {})
    report = repair(path, settings=WRITER)
    assert report.status == "incomplete"
    assert [u.name for u in report.unwritten] == [plain.names[0]]
    assert [r.fragment for r in report.restored] == [plain.names[1]]


def test_no_folder_for_temporary_files(tmp_path: Path, coded: Small) -> None:
    path = coded.write(tmp_path, SIX)
    (tmp_path / "server1" / coded.names[0]).unlink()
    with pytest.raises(StorageError, match="--temp"):
        repair(path, temp=tmp_path / "nowhere")


def test_two_at_once(tmp_path: Path) -> None:
    coded = small([200 * PIECE] * 4, parity=2)
    path = coded.write(tmp_path, SIX)
    (tmp_path / "server1" / coded.names[0]).unlink()
    flip(tmp_path / "server6" / coded.names[5], 100)
    statuses: list[str] = []

    def go() -> None:
        statuses.append(repair(path).status)

    threads = [threading.Thread(target=go) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == ["healthy"] * 3
    assert coded.wrong(tmp_path) == []
    assert len(everything(tmp_path)) == 13


def test_replicas_stay_apart_when_they_move(tmp_path: Path, hosting: Hosting) -> None:
    plain = small([3000])
    plain.write(tmp_path, {"a": [1], "b": [1], "c": [1], "d": [], "e": []})
    a, b, c, d, e = (hosting.serve(tmp_path / n, tokens=Tokens(write=TOKEN)) for n in "abcde")
    path = plain.at({s.url: [1] for s in (a, b, c)}).write(tmp_path, {})
    hosting.kill(a)
    # The copy that c has is there for c already.
    report = repair(path, to=[c.url, d.url], settings=WRITER)
    assert (report.status, [r.source for r in report.restored]) == ("healthy", [d.url])
    hosting.kill(b)
    hosting.kill(c)
    report = repair(path, to=[e.url], settings=WRITER)
    assert (report.status, [r.source for r in report.restored]) == ("healthy", [e.url])
    assert any("fewer copies" in note for note in report.notes)
    sources = Manifest.from_bytes(path.read_bytes()).sources
    assert {s.url for s in sources} == {d.url, e.url}


def test_a_repair_that_was_cut_off_before_the_manifest_goes_on(
    tmp_path: Path, hosting: Hosting
) -> None:
    plain = small([3000])
    plain.write(tmp_path, {"a": [1], "b": [1], "c": [1]})
    a, b, c = (hosting.serve(tmp_path / n, tokens=Tokens(write=TOKEN)) for n in "abc")
    path = plain.at({a.url: [1], b.url: [1]}).write(tmp_path, {})
    hosting.kill(a)
    report = repair(path, to=[c.url], settings=WRITER)
    assert (report.status, report.restored) == ("healthy", ())
    assert {s.url for s in Manifest.from_bytes(path.read_bytes()).sources} == {b.url, c.url}


def test_a_replacement_that_is_away_too(tmp_path: Path, hosting: Hosting) -> None:
    plain = small([3000])
    plain.write(tmp_path, {"a": [1], "b": [1], "c": []})
    a, b, c = (hosting.serve(tmp_path / n, tokens=Tokens(write=TOKEN)) for n in "abc")
    path = plain.at({a.url: [1], b.url: [1]}).write(tmp_path, {})
    hosting.kill(a)
    report = repair(path, to=[a.url], settings=WRITER)
    assert (report.status, [u.source for u in report.unwritten]) == ("incomplete", [a.url])
    report = repair(path, to=[a.url, c.url], settings=WRITER)
    assert (report.status, [r.source for r in report.restored]) == ("healthy", [c.url])


def test_sources_that_cannot_be_read_to_their_end(tmp_path: Path, hosting: Hosting) -> None:
    coded = small([4 * PIECE] * 4, parity=2)
    coded.write(tmp_path, SIX)
    (tmp_path / "server1" / coded.names[0]).unlink()
    folders = [str(tmp_path / f"server{n}") for n in (1, 4, 5, 6)]

    def with_faults(*faults: str) -> dict[str, list[int]]:
        servers = [
            hosting.serve(tmp_path / f"server{n}", faults=[fault], seed=n)
            for n, fault in enumerate(faults, 2)
        ]
        return {s.url: [n] for n, s in enumerate(servers, 2)}

    held = with_faults("reset", "error:503")
    path = coded.at(held).write(tmp_path, {})
    report = repair(path, servers=folders, quick=True, settings=WRITER)
    assert report.status == "lost"
    assert {u.source for u in report.unwritten} == set(held)
    path = coded.at(with_faults("truncate@0.4", "error:503@0.4")).write(tmp_path, {})
    report = repair(path, servers=folders, quick=True, settings=Settings(retries=8))
    # Nothing says where it belongs, and folders take it.
    assert (report.status, [r.fragment for r in report.restored]) == ("healthy", coded.names[:1])
    assert coded.wrong(tmp_path) == []
