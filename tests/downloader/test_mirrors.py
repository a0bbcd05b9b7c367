"""Mirrors of one whole file, without any manifest: over real sockets, never a wrong byte."""

from __future__ import annotations

import base64
import hashlib
import itertools
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from msgspec.structs import replace

import regather
from regather.sources.mirror_survey import MirrorInfo
from regather.transport import Look
from tests.downloader.test_stopping import silent
from tests.end_to_end.test_rogue_servers import lies
from tests.support.files import MIB, leftovers, random_file
from tests.support.hosting import Hosting
from tests.support.mirrors import Mirror, mirror, stock_server
from tests.support.net import PATIENCE, free_port
from tests.support.nginx import Nginx, needs_nginx
from tests.support.rogue import Rogue

SIZE = 8 * MIB + 12_345
QUICK = regather.Settings(timeout=5, connect_timeout=2, retries=1, sync=False)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_file(tmp_path_factory.mktemp("whole") / "file.bin", SIZE)


@pytest.fixture(scope="module")
def content(original: Path) -> bytes:
    return original.read_bytes()


@pytest.fixture
def mirrors(content: bytes) -> Iterator[list[Mirror]]:
    """Three mirrors of the same file."""
    with ExitStack() as stack:
        yield [stack.enter_context(mirror(content)) for _ in range(3)]


def urls(mirrors: list[Mirror]) -> list[str]:
    return [m.url + "file.bin" for m in mirrors]


def sha256(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def other(content: bytes, *places: int) -> bytes:
    """Another version of the same size."""
    changed = bytearray(content)
    for place in places:
        changed[place] ^= 1
    return bytes(changed)


def get(sources: list[str], dest: Path, **more: object) -> regather.DownloadReport:
    return regather.download(sources, dest, settings=QUICK, **more)  # type: ignore[arg-type]


def stop_midway(sources: list[str], dest: Path, checksum: str | Sequence[str]) -> None:
    """Download a part: more than 3 MiB, and not all."""
    stop = threading.Event()

    def look(progress: regather.Progress) -> None:
        if progress.done > 3 * MIB:
            stop.set()

    slow = regather.Settings(limit_rate=8 * MIB, sync=False)
    with pytest.raises(regather.InterruptedDownload):
        regather.download(
            sources, dest, checksum=checksum, settings=slow, on_progress=look, stop=stop
        )


@needs_nginx
def test_three_kinds_of_servers(
    original: Path, content: bytes, hosting: Hosting, tmp_path: Path
) -> None:
    with stock_server(original.parent) as stock, Nginx(original.parent) as nginx:
        sources = [u + "file.bin" for u in (stock, nginx.url, hosting.serve(original.parent).url)]
        report = get(sources, tmp_path / "got", checksum=sha256(content))
        assert (tmp_path / "got").read_bytes() == content
        assert (report.verified, report.verified_by) == (True, "sha256")
        for source in sources:
            report = get([source], tmp_path / "one", force=True)
            assert (tmp_path / "one").read_bytes() == content
            assert not report.verified
    assert leftovers(tmp_path) == []


def test_one_of_another_size_is_named_and_left_out(
    mirrors: list[Mirror], content: bytes, tmp_path: Path
) -> None:
    mirrors[0].content = content[:-5]
    report = get(urls(mirrors), tmp_path)
    assert (tmp_path / "file.bin").read_bytes() == content
    (note,) = [n for n in report.notes if "is not used" in n]
    assert mirrors[0].url in note
    assert f"has {SIZE - 5} bytes" in note
    (warning,) = [n for n in report.notes if "NOT verified" in n]
    assert "only samples of the mirrors were compared" in warning
    assert [s.url for s in report.sources] == urls(mirrors)[1:]


@pytest.mark.parametrize("place", [100, SIZE // 2 + 9, SIZE - 1])
def test_one_of_another_version_is_named_and_left_out(
    mirrors: list[Mirror], content: bytes, place: int, tmp_path: Path
) -> None:
    mirrors[1].content = other(content, place)
    report = get(urls(mirrors), tmp_path)
    assert (tmp_path / "file.bin").read_bytes() == content
    (note,) = [n for n in report.notes if "is not used" in n]
    assert mirrors[1].url in note


@pytest.mark.parametrize("liar", [0, 1, 2])
def test_a_difference_that_no_sample_shows_is_found_by_the_checksum(
    mirrors: list[Mirror], content: bytes, liar: int, tmp_path: Path
) -> None:
    mirrors[liar].content = other(content, *range(MIB - 1, 7 * MIB, MIB))
    lied = threading.Event()

    def lie(length: int) -> None:
        if length >= MIB:
            lied.set()

    mirrors[liar].after = lie
    for one in mirrors[:liar] + mirrors[liar + 1 :]:
        one.before = lambda length: length >= MIB and lied.wait(PATIENCE)
    report = regather.download(
        urls(mirrors),
        tmp_path / "got",
        checksum=sha256(content),
        settings=regather.Settings(sync=False),
    )
    assert (tmp_path / "got").read_bytes() == content
    assert report.verified
    assert report.sources[liar].state == "corrupt"
    assert any(mirrors[liar].url in n and "another file" in n for n in report.notes)
    assert all(s.corrupt == 0 for i, s in enumerate(report.sources) if i != liar)


def test_the_majority_is_wrong_and_the_checksum_decides(
    mirrors: list[Mirror], content: bytes, tmp_path: Path
) -> None:
    for old in mirrors[:2]:
        old.content = other(content, 5)
    report = get(urls(mirrors), tmp_path / "got", checksum=sha256(content))
    assert (tmp_path / "got").read_bytes() == content
    assert [s.url for s in report.sources] == urls(mirrors)[2:]


def test_nobody_has_what_was_asked_for(
    mirrors: list[Mirror], content: bytes, tmp_path: Path
) -> None:
    with pytest.raises(
        regather.VerificationError, match="no source has the requested file"
    ) as raised:
        get(urls(mirrors), tmp_path / "got", checksum=sha256(b"else"))
    assert hashlib.sha256(content).hexdigest() in str(raised.value.details)
    assert list(tmp_path.iterdir()) == [], "a wrong file is not kept, nor gone on from"


@pytest.mark.parametrize("differing", [True, False])
def test_all_that_have_a_wrong_file_are_named(
    mirrors: list[Mirror], content: bytes, tmp_path: Path, differing: bool
) -> None:
    if differing:  # from the first byte on, so that it shows before the download
        mirrors[2].content = other(content, 0)
    named = [*urls(mirrors), f"http://127.0.0.1:{free_port()}/file.bin"]
    with pytest.raises(
        regather.VerificationError, match="no source has the requested file"
    ) as raised:
        get(named, tmp_path / "got", checksum=sha256(b"else"))
    told = dict(line.split(": ", 1) for line in raised.value.details)
    assert sorted(told) == sorted(named)
    assert hashlib.sha256(content).hexdigest() in told[named[0]] + told[named[1]]
    if differing:
        assert hashlib.sha256(mirrors[2].content).hexdigest() in told[named[2]]
    assert "refused" in told[named[3]]
    assert list(tmp_path.iterdir()) == []


def test_two_that_disagree_and_nothing_that_decides(
    mirrors: list[Mirror], content: bytes, tmp_path: Path
) -> None:
    mirrors[1].content = other(content, 0)
    with pytest.raises(regather.VerificationError, match="different files") as raised:
        get(urls(mirrors)[:2], tmp_path)
    assert mirrors[1].url in raised.value.details[0]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wrong", [False, True])
def test_a_mirror_that_ignores_ranges(
    mirrors: list[Mirror], original: Path, content: bytes, wrong: bool, tmp_path: Path
) -> None:
    """It sends all from the first byte, whatever was asked for: of the right file, or another."""
    served = tmp_path / "served"
    served.mkdir()
    (served / "file.bin").write_bytes(other(content, 3 * MIB, 7 * MIB) if wrong else content)
    with stock_server(served) as stock:
        sources = [stock + "file.bin", *urls(mirrors)[:2]]
        get(sources, tmp_path / "got", checksum=sha256(content))
    assert (tmp_path / "got").read_bytes() == content


def test_dead_mirrors(mirrors: list[Mirror], content: bytes, tmp_path: Path) -> None:
    nobody = f"http://127.0.0.1:{free_port()}/file.bin"
    mirrors[0].statuses["/file.bin"] = 404
    sources = [nobody, *urls(mirrors)]
    report = get(sources, tmp_path / "unverified")
    assert (tmp_path / "unverified").read_bytes() == content
    left_out = [n for n in report.notes if "is not used" in n]
    assert [nobody in left_out[0], mirrors[0].url in left_out[1]] == [True, True]
    get(sources, tmp_path / "verified", checksum=sha256(content))
    assert (tmp_path / "verified").read_bytes() == content
    with pytest.raises(regather.NotEnoughSourcesError, match="none of 2 mirrors"):
        get([nobody, urls(mirrors)[0]], tmp_path / "none")


def test_less_of_the_start_is_not_another_start() -> None:
    """A server may send less than it is asked for."""
    one, two, three = (
        MirrorInfo(url, Look(100, "", start, True))
        for url, start in [("a", b"abc"), ("b", b"ab"), ("c", b"x")]
    )
    assert not one.differs_from(two)
    assert not two.differs_from(one)
    assert "beginning" in one.differs_from(three)


def test_a_mirror_whose_file_changes_meanwhile(content: bytes, tmp_path: Path) -> None:
    with mirror(content) as one:
        one.headers["ETag"] = '"1"'

        pieces = itertools.count(1)

        def change(length: int) -> None:
            if length >= MIB and next(pieces) == 2:
                one.headers["ETag"] = '"2"'
                one.content = other(content, *range(0, SIZE, 1000))

        one.before = change
        report = get([one.url + "file.bin"], tmp_path / "got")
        assert (tmp_path / "got").read_bytes() == one.content  # the new one, and all of it
    assert "changed on its server" in report.notes[-1]
    assert leftovers(tmp_path) == []


# -- checksums --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "algorithm", ["md5", "sha1", "sha224", "sha256", "sha384", "sha512", "blake2b", "blake2s"]
)
def test_checksums_of_all_kinds(mirrors: list[Mirror], tmp_path: Path, algorithm: str) -> None:
    for one in mirrors:
        one.content = b"small"
    right = hashlib.new(algorithm, b"small").hexdigest()
    report = get(urls(mirrors), tmp_path / "got", checksum=f"{algorithm}:{right}")
    assert report.verified_by == algorithm
    wrong = right[:-1] + ("0" if right[-1] != "0" else "1")
    with pytest.raises(regather.VerificationError):
        get(urls(mirrors), tmp_path / "wrong", checksum=f"{algorithm}={wrong}")


def test_checksums_beside_a_manifest(original: Path, content: bytes, tmp_path: Path) -> None:
    manifest = regather.split(original, tmp_path / "out")
    path = str(tmp_path / "out" / "file.bin.regather.json")
    both = [sha256(content), f"blake3:{manifest.blake3}"]
    report = regather.download(path, tmp_path / "got", checksum=both, settings=QUICK)
    assert (report.verified_by, (tmp_path / "got").read_bytes()) == ("manifest", content)
    with pytest.raises(regather.VerificationError, match="its pieces are right, but"):
        regather.download(path, tmp_path / "no", checksum=sha256(b""), settings=QUICK)
    assert not (tmp_path / "no").exists()


def test_checksums_of_plain_fragments(original: Path, content: bytes, tmp_path: Path) -> None:
    regather.split(original, tmp_path / "out")
    fragments = [str(tmp_path / "out" / f"file_fragment_{n}.dat") for n in (1, 2, 3)]
    report = regather.download(
        None, tmp_path / "got", fragments=fragments, checksum=sha256(content), settings=QUICK
    )
    assert report.verified
    assert report.notes == ()
    with pytest.raises(regather.VerificationError):
        regather.download(
            None, tmp_path / "no", fragments=fragments[::-1], checksum=sha256(content)
        )
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize("given", [True, False])
def test_stopped_and_gone_on_with(
    mirrors: list[Mirror], content: bytes, given: bool, tmp_path: Path
) -> None:
    for one in mirrors:
        one.headers["Last-Modified"] = "Sun, 01 Feb 2026 08:00:00 GMT"
    checksum = sha256(content) if given else ()
    stop_midway(urls(mirrors), tmp_path / "got", checksum)
    assert leftovers(tmp_path)
    report = get(urls(mirrors)[1:], tmp_path / "got", checksum=checksum)
    assert report.resumed > 3 * MIB
    assert report.received < SIZE
    assert (tmp_path / "got").read_bytes() == content


def test_what_an_earlier_run_got_from_a_liar_is_replaced(
    mirrors: list[Mirror], content: bytes, tmp_path: Path
) -> None:
    mirrors[0].content = other(content, *range(MIB - 1, SIZE, MIB))
    stop_midway(urls(mirrors)[:1], tmp_path / "got", sha256(content))
    report = get(urls(mirrors)[1:], tmp_path / "got", checksum=sha256(content))
    assert report.resumed > 3 * MIB
    assert (tmp_path / "got").read_bytes() == content


# -- what servers say -------------------------------------------------------------------------


def test_a_digest_that_the_server_tells(content: bytes, tmp_path: Path) -> None:
    coded = base64.b64encode(hashlib.sha256(content).digest()).decode()
    with mirror(content) as one:
        one.headers["Repr-Digest"] = f"sha-256=:{coded}:"
        report = get([one.url + "file.bin"], tmp_path / "got")
        assert not report.verified, "who sends the bytes is no witness for them"
        assert any("sha256 that its server reports" in n for n in report.notes)
        one.content = other(content, 3 * MIB)
        with pytest.raises(regather.VerificationError, match="no source has the requested file"):
            get([one.url + "file.bin"], tmp_path / "wrong")
        assert not (tmp_path / "wrong").exists()


def test_a_server_that_says_itself_that_it_has_another_version(
    mirrors: list[Mirror], content: bytes, tmp_path: Path
) -> None:
    coded = base64.b64encode(bytes(32)).decode()
    mirrors[0].headers["Digest"] = f"SHA-256={coded}"
    report = get(urls(mirrors), tmp_path / "got", checksum=sha256(content))
    assert [s.url for s in report.sources] == urls(mirrors)[1:]


def test_mirrors_that_a_server_links_to(
    mirrors: list[Mirror], content: bytes, tmp_path: Path
) -> None:
    named = mirrors[0]
    coded = base64.b64encode(hashlib.sha256(content).digest()).decode()
    link = ", ".join(f"<{url}>; rel=duplicate; pri=1" for url in urls(mirrors)[1:])
    named.redirects["/get"] = (urls(mirrors)[0], {"Link": link, "Digest": f"SHA-256={coded}"})
    report = get([named.url + "get"], tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == content
    assert {s.url for s in report.sources} == {named.url + "get", *urls(mirrors)[1:]}
    mirrors[2].content = other(content, SIZE - 1)
    report = get([named.url + "get"], tmp_path / "got", force=True)
    assert (tmp_path / "got").read_bytes() == content
    assert {s.url for s in report.sources} == {named.url + "get", urls(mirrors)[1]}


def test_links_are_not_followed_where_nothing_verifies(
    mirrors: list[Mirror], content: bytes, tmp_path: Path
) -> None:
    mirrors[0].headers["Link"] = f"<{urls(mirrors)[1]}>; rel=duplicate"
    get(urls(mirrors)[:1], tmp_path / "got")
    assert mirrors[1].asked == []


def test_redirects_are_followed_once_and_asked_for_again_when_expired(
    mirrors: list[Mirror], content: bytes, tmp_path: Path
) -> None:
    gate, first, second = mirrors
    gate.redirects["/file.bin"] = (first.url + "signed", {})

    def expire(progress: regather.Progress) -> None:
        if progress.done > 2 * MIB:
            gate.redirects["/file.bin"] = (second.url + "signed", {})
            first.statuses["/signed"] = 403

    report = regather.download(
        gate.url + "file.bin",
        tmp_path,
        settings=regather.Settings(limit_rate=12 * MIB, sync=False, connections=1),
        on_progress=expire,
    )
    assert (tmp_path / "file.bin").read_bytes() == content
    assert report.name == "file.bin", "named after what the user named, not after the redirect"
    assert len(gate.asked) <= 3
    assert second.asked


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ('attachment; filename="release 1.iso"', "release 1.iso"),
        ('attachment; filename="../../up.iso"', "up.iso"),
        ('attachment; filename="/etc/passwd"', "passwd"),
        ("attachment", "latest"),
    ],
)
def test_names(told: str, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    monkeypatch.chdir(tmp_path / "in")
    with mirror(b"content") as one:
        one.headers["Content-Disposition"] = told
        regather.download(one.url + "latest", settings=QUICK)
    assert [str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()] == [
        f"in/{name}"
    ]


@pytest.mark.parametrize("path", ["%2e%2e", "..%2f..%2fup", "a%00b"])
def test_names_in_addresses_stay_below(path: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with mirror(b"content") as one:
        report = regather.download(one.url + path, tmp_path / "in", settings=QUICK)
    assert Path(report.path).parent == tmp_path / "in"
    assert Path(report.path).read_bytes() == b"content"


def test_an_empty_file(mirrors: list[Mirror], tmp_path: Path) -> None:
    for one in mirrors:
        one.content = b""
    assert get(urls(mirrors), tmp_path / "got", checksum=sha256(b"")).size == 0
    with pytest.raises(regather.VerificationError):
        get(urls(mirrors), tmp_path / "wrong", checksum=sha256(b"x"))


def test_a_manifest_by_any_name(original: Path, content: bytes, tmp_path: Path) -> None:
    regather.split(original, tmp_path / "out")
    described = (tmp_path / "out" / "file.bin.regather.json").read_bytes()
    fragments = {p.name: p.read_bytes() for p in (tmp_path / "out").glob("*.dat")}
    with mirror(described) as one:
        one.pages.update({f"/{name}": data for name, data in fragments.items()})
        report = regather.download(one.url + "download", tmp_path, settings=QUICK)
    assert report.verified_by == "manifest"
    assert (tmp_path / "file.bin").read_bytes() == content
    with mirror(described) as one, pytest.raises(regather.UsageError, match="is a manifest"):
        get([one.url + "a", one.url + "b"], tmp_path / "no")


# -- servers that fail or lie -----------------------------------------------------------------


def test_a_silent_mirror_is_not_waited_for(
    mirrors: list[Mirror], content: bytes, tmp_path: Path
) -> None:
    patient = regather.Settings(timeout=300, connect_timeout=300, sync=False)
    with Rogue(silent) as rogue:
        sources = [rogue.url + "file.bin", *urls(mirrors)]
        report = regather.download(sources, tmp_path / "got", settings=patient)
        assert any(rogue.url in note and "no response" in note for note in report.notes)
    assert (tmp_path / "got").read_bytes() == content


def test_a_redirect_to_a_server_that_dies_is_asked_for_again(
    mirrors: list[Mirror], content: bytes, tmp_path: Path
) -> None:
    gate, other_one, _ = mirrors
    with ExitStack() as first:
        dying = first.enter_context(mirror(content))
        gate.redirects["/file.bin"] = (dying.url + "f", {})

        def kill(progress: regather.Progress) -> None:
            if progress.done > 2 * MIB:
                gate.redirects["/file.bin"] = (other_one.url + "f", {})
                dying.break_off = True

        report = regather.download(
            gate.url + "file.bin",
            tmp_path / "got",
            settings=regather.Settings(limit_rate=12 * MIB, sync=False, timeout=2),
            on_progress=kill,
        )
    assert (tmp_path / "got").read_bytes() == content
    assert report.sources[0].errors
    assert other_one.asked


LIES = lies(bytes(range(256)) * 8200)


@pytest.mark.parametrize("lie", LIES)
def test_servers_that_lie(lie: str, tmp_path: Path) -> None:
    content = bytes(range(256)) * 8200
    quick = regather.Settings(timeout=0.5, connect_timeout=1, retries=1, sync=False)
    with Rogue(LIES[lie]) as rogue, mirror(content) as good:
        for sources in ([rogue.url + "f", good.url + "f"], [good.url + "f", rogue.url + "f"]):
            regather.download(
                sources,
                tmp_path / "got",
                checksum=sha256(content),
                settings=replace(quick, retries=6),  # the good one may be slow, too
                force=True,
            )
            assert (tmp_path / "got").read_bytes() == content
        with pytest.raises(regather.RegatherError):
            regather.download(
                rogue.url + "f", tmp_path / "no", checksum=sha256(content), settings=quick
            )
    assert not (tmp_path / "no").exists()
