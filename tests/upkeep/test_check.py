"""What a check finds."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest

from regather.downloader import Settings
from regather.errors import NotEnoughSourcesError, UsageError
from regather.server.authorization import Tokens
from regather.upkeep.inspection import check
from regather.upkeep.report import CheckReport, CopyState
from tests.support.hosting import Hosting
from tests.support.small import PIECE, Small, flip, small

SIX = {f"server{n}": [n] for n in range(1, 7)}
IMPATIENT = Settings(retries=0)


@pytest.fixture
def coded() -> Small:
    return small([5000, 4999, 4097, 1024], parity=2)


def states(report: CheckReport) -> dict[str, CopyState]:
    return {f.fragment: f.state for f in report.findings}


def test_all_is_well(tmp_path: Path, coded: Small) -> None:
    path = coded.write(tmp_path, SIX)
    for share in (0.0, 0.5, 1.0):
        report = check(path, read_data=share)
        assert report.status == "healthy"
        assert set(states(report).values()) == {CopyState.OK}
        (health,) = report.sets
        assert (health.survives_fragments, health.survives_sources, health.exact) == (2, 2, True)
    assert report.read == sum(map(len, coded.content.values()))


def test_every_flipped_bit_is_found(tmp_path: Path, coded: Small) -> None:
    path = coded.write(tmp_path, SIX)
    rng = random.Random(3)
    for _ in range(200):
        number = rng.randint(1, 6)
        name = coded.names[number - 1]
        bit = rng.randrange(8 * len(coded.content[name]))
        target = tmp_path / f"server{number}" / name
        flip(target, bit)
        assert check(path).status == "healthy"  # sizes alone do not show it
        report = check(path, read_data=1)
        assert report.status == "degraded"
        (found,) = [f for f in report.findings if f.state is not CopyState.OK]
        assert (found.fragment, found.state, found.bad) == (
            name,
            CopyState.CORRUPT,
            (bit // 8 // PIECE,),
        )
        flip(target, bit)
    assert check(path, read_data=1).status == "healthy"


def test_truncated_longer_swapped_and_missing(tmp_path: Path, coded: Small) -> None:
    path = coded.write(tmp_path, SIX)
    one = tmp_path / "server1" / coded.names[0]
    one.write_bytes(one.read_bytes()[:3000])
    assert states(check(path))[coded.names[0]] is CopyState.WRONG_SIZE
    report = check(path, read_data=1)
    found = next(f for f in report.findings if f.fragment == coded.names[0])
    assert (found.state, found.size, found.bad) == (CopyState.WRONG_SIZE, 3000, (2, 3, 4))
    one.write_bytes(coded.content[coded.names[0]] + b"more")
    assert states(check(path))[coded.names[0]] is CopyState.WRONG_SIZE
    one.write_bytes(coded.content[coded.names[4]])  # as long, and another fragment
    report = check(path, read_data=1)
    assert states(report)[coded.names[0]] is CopyState.CORRUPT
    assert report.nowhere == (coded.names[0],)
    one.unlink()
    report = check(path)
    assert (report.status, states(report)[coded.names[0]]) == ("degraded", CopyState.MISSING)
    assert report.sets[0].survives_fragments == 1


def test_every_cut_and_every_swap_is_found(tmp_path: Path, coded: Small) -> None:
    path = coded.write(tmp_path, SIX)
    files = [tmp_path / f"server{n}" / coded.names[n - 1] for n in range(1, 7)]
    rng = random.Random(4)

    def found() -> dict[str, tuple[CopyState, tuple[int, ...]]]:
        report = check(path, read_data=1)
        assert report.status == "degraded"
        return {
            f.fragment: (f.state, f.bad) for f in report.findings if f.state is not CopyState.OK
        }

    for _ in range(50):
        file = rng.choice(files)
        whole = file.read_bytes()
        left = rng.randrange(len(whole))
        file.write_bytes(whole[:left])
        bad = tuple(range(left // PIECE, -(-len(whole) // PIECE)))
        assert found() == {file.name: (CopyState.WRONG_SIZE, bad)}
        file.write_bytes(whole)
    for one, other in itertools.combinations(files, 2):
        contents = one.read_bytes(), other.read_bytes()
        one.write_bytes(contents[1])
        other.write_bytes(contents[0])
        same = len(contents[0]) == len(contents[1])
        wrong = found()
        assert set(wrong) == {one.name, other.name}
        assert {s for s, _ in wrong.values()} == {
            CopyState.CORRUPT if same else CopyState.WRONG_SIZE
        }
        one.write_bytes(contents[0])
        other.write_bytes(contents[1])
    assert check(path, read_data=1).status == "healthy"


def test_rows_decide_not_fragments(tmp_path: Path) -> None:
    coded = small([4096] * 4, parity=2)
    path = coded.write(tmp_path, SIX)
    # Every fragment is damaged, yet no row in more than two of them.
    for number in range(1, 7):
        piece = (number - 1) // 2
        flip(tmp_path / f"server{number}" / coded.names[number - 1], 8 * PIECE * piece)
    report = check(path, read_data=1)
    assert report.status == "degraded"
    assert len(report.nowhere) == 6
    assert report.sets[0].recoverable
    assert (report.sets[0].survives_fragments, report.sets[0].exact) == (0, False)
    flip(tmp_path / "server3" / coded.names[2], 8 * 100)  # a third one in row 0
    report = check(path, read_data=1)
    assert report.status == "lost"
    assert not report.sets[0].recoverable
    assert {x.fragment: x.rows for x in report.lost} == dict.fromkeys(coded.names[:3], (0,))


def test_a_short_fragment_counts_as_zeros_behind_its_end(tmp_path: Path) -> None:
    coded = small([5000, 4999, 4097, 1024], parity=2)
    path = coded.write(tmp_path, SIX)
    for number in (1, 2):
        (tmp_path / f"server{number}" / coded.names[number - 1]).unlink()
    assert check(path, read_data=1).status == "degraded"
    # Row 4 still has 3 and both of parity, and the zeros of 4; row 0 lacks one.
    (tmp_path / "server4" / coded.names[3]).unlink()
    report = check(path, read_data=1)
    assert report.status == "lost"
    assert {x.rows for x in report.lost} == {(0,)}


def test_without_parity(tmp_path: Path) -> None:
    plain = small([3000, 3000, 2999])
    path = plain.write(tmp_path, {"server1": [1, 3], "server2": [1, 2], "server3": [2, 3]})
    report = check(path)
    assert report.status == "healthy"
    assert report.sets[0].survives_sources == 1
    (tmp_path / "server1" / plain.names[0]).unlink()
    report = check(path)
    assert report.status == "degraded"
    assert [(f.source, f.fragment) for f in report.findings if f.state is CopyState.MISSING] == [
        (f"{tmp_path}/server1/", plain.names[0])
    ]
    flip(tmp_path / "server2" / plain.names[0], 0)
    report = check(path, read_data=1)
    assert [(x.fragment, x.rows) for x in report.lost] == [(plain.names[0], (0,))]


def test_a_share_is_read_and_can_be_repeated(tmp_path: Path) -> None:
    plain = small([100 * PIECE])
    path = plain.write(tmp_path, {"server1": [1]})
    for number in range(0, 100, 2):
        flip(tmp_path / "server1" / plain.names[0], 8 * PIECE * number)
    first = check(path, read_data=0.1, seed=5)
    assert first.findings[0].read == 10
    assert first.read == 10 * PIECE
    assert 0 < len(first.findings[0].bad) < 10
    assert check(path, read_data=0.1, seed=first.seed).findings == first.findings
    assert check(path, read_data=0.1, seed=6).findings != first.findings


def test_servers(tmp_path: Path, hosting: Hosting, coded: Small) -> None:
    coded.write(tmp_path, SIX)
    secret = Tokens(read="reader", write="writer")
    servers = [
        hosting.serve(tmp_path / f"server{n}", tokens=secret if n == 5 else None)
        for n in range(1, 7)
    ]
    there = coded.at({s.url: [n] for n, s in enumerate(servers, 1)})
    path = there.write(tmp_path, {})
    hosting.kill(servers[0])
    (tmp_path / "server2" / coded.names[1]).unlink()
    flip(tmp_path / "server3" / coded.names[2], 5000)
    report = check(path, read_data=1, settings=IMPATIENT)
    assert [f.state for f in report.findings] == [
        CopyState.UNREACHABLE,
        CopyState.MISSING,
        CopyState.CORRUPT,
        CopyState.OK,
        CopyState.REFUSED,
        CopyState.OK,
    ]
    assert report.status == "lost"
    tokens = {"127.0.0.1": "reader"}
    report = check(path, read_data=1, settings=Settings(retries=0, tokens=tokens))
    assert states(report)[coded.names[4]] is CopyState.OK
    # Only one row lacks the corrupt piece as well.
    assert {x.rows for x in report.lost} == {(0,)}


def test_a_flaky_server_is_asked_again(tmp_path: Path, hosting: Hosting) -> None:
    plain = small([200 * PIECE])
    plain.write(tmp_path, {"server1": [1]})
    server = hosting.serve(tmp_path / "server1", faults=["reset@0.5"], seed=2)
    path = plain.at({server.url: [1]}).write(tmp_path, {})
    assert check(path, read_data=1, settings=Settings(retries=8)).status == "healthy"


def test_no_source(tmp_path: Path) -> None:
    path = small([10]).write(tmp_path, {})
    with pytest.raises(NotEnoughSourcesError):
        check(path)
    with pytest.raises(UsageError):
        check(path, servers=[str(tmp_path)], read_data=2)


def test_an_empty_file(tmp_path: Path) -> None:
    coded = small([0], parity=2)
    path = coded.write(tmp_path, {"server1": [1], "server2": [2], "server3": [3]})
    assert check(path, read_data=1).status == "healthy"
    (tmp_path / "server1" / coded.names[0]).unlink()
    assert check(path, read_data=1).status == "degraded"
