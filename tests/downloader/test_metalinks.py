"""Downloads by metalink: pieces verified, priorities kept, names that stay below."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import regather
from regather.checksum import Checksum
from regather.metalink.values import MetalinkFile, Mirror, Pieces
from regather.metalink.write import write_metalink
from tests.support.files import leftovers
from tests.support.files import regather as run
from tests.support.mirrors import mirror
from tests.support.net import free_port

PIECE = 1 << 16
CONTENT = bytes(hashlib.shake_128(b"metalink").digest(10 * PIECE + 77))
QUICK = regather.Settings(timeout=5, connect_timeout=2, retries=1, sync=False)


def pieces(content: bytes, algorithm: str = "sha256") -> Pieces:
    hashes = (
        hashlib.new(algorithm, content[at : at + PIECE]).digest()
        for at in range(0, len(content), PIECE)
    )
    return Pieces(algorithm, PIECE, b"".join(hashes))


def described(
    urls: Sequence[str],
    content: bytes = CONTENT,
    *,
    name: str = "f.bin",
    size: bool = True,
    algorithm: str = "sha256",
    whole: bool = True,
) -> MetalinkFile:
    return MetalinkFile(
        name,
        len(content) if size else None,
        (Checksum("sha256", hashlib.sha256(content).digest()),) if whole else (),
        (pieces(content, algorithm),) if algorithm and size else (),
        tuple(Mirror(url, n) for n, url in enumerate(urls, 1)),
    )


def written(folder: Path, *files: MetalinkFile) -> str:
    path = folder / "x.meta4"
    path.write_bytes(write_metalink(files))
    return str(path)


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
def test_a_liar_is_found_piece_by_piece(algorithm: str, tmp_path: Path) -> None:
    wrong = bytearray(CONTENT)
    wrong[3 * PIECE + 5] ^= 1
    with mirror(CONTENT) as good, mirror(bytes(wrong)) as bad:
        metalink = written(
            tmp_path, described([bad.url + "f", good.url + "f"], algorithm=algorithm)
        )
        report = regather.download(metalink, tmp_path, settings=QUICK)
        assert (tmp_path / "f.bin").read_bytes() == CONTENT
        assert report.verified_by == f"{algorithm} of the pieces"
        alone = written(tmp_path, described([bad.url + "f"], algorithm=algorithm))
        with pytest.raises(regather.VerificationError, match="wrong data"):
            regather.download(alone, tmp_path / "alone", settings=QUICK)
        assert leftovers(tmp_path), "the right pieces are kept"
        both = described([bad.url + "f", good.url + "f"], algorithm=algorithm)
        report = regather.download(written(tmp_path, both), tmp_path / "alone", settings=QUICK)
        assert report.resumed >= PIECE
        assert (tmp_path / "alone").read_bytes() == CONTENT


def test_pieces_that_contradict_the_hash_of_the_whole(tmp_path: Path) -> None:
    file = described([], whole=False)
    with mirror(CONTENT) as good:
        file = MetalinkFile(
            file.name,
            file.size,
            (Checksum("sha256", bytes(32)),),
            file.pieces,
            (Mirror(good.url + "f"),),
        )
        with pytest.raises(regather.VerificationError, match="belong to different files"):
            regather.download(written(tmp_path, file), tmp_path / "got", settings=QUICK)
    assert not (tmp_path / "got").exists()


@pytest.mark.parametrize("size", [True, False])
def test_without_pieces_the_whole_is_verified(size: bool, tmp_path: Path) -> None:
    wrong = bytearray(CONTENT)
    wrong[3 * PIECE + 5] ^= 1
    with mirror(CONTENT) as good, mirror(CONTENT) as too, mirror(bytes(wrong)) as bad:
        urls = [m.url + "f" for m in (bad, good, too)]
        metalink = written(tmp_path, described(urls, size=size, algorithm=""))
        report = regather.download(metalink, tmp_path, settings=QUICK)
    assert (tmp_path / "f.bin").read_bytes() == CONTENT
    assert report.verified_by == "sha256"


def test_preferred_mirrors_are_enough(tmp_path: Path) -> None:
    with mirror(CONTENT) as first, mirror(CONTENT) as last:
        urls = [f"{first.url}{n}" for n in range(8)] + [last.url + "f"]
        regather.download(written(tmp_path, described(urls)), tmp_path / "1", settings=QUICK)
        assert last.asked == []
        nobody = f"http://127.0.0.1:{free_port()}/"
        urls = [f"{nobody}{n}" for n in range(8)] + [last.url + "f"]
        regather.download(written(tmp_path, described(urls)), tmp_path / "2", settings=QUICK)
    assert (tmp_path / "2").read_bytes() == CONTENT


def test_the_country_comes_before_the_priority(tmp_path: Path) -> None:
    with mirror(CONTENT) as here, mirror(CONTENT) as there:
        file = described([])
        mirrors = [Mirror(f"{there.url}{n}", n, "us") for n in range(1, 9)]
        mirrors += [Mirror(f"{here.url}{n}", 100 + n, "de") for n in range(8)]
        file = MetalinkFile(file.name, file.size, file.checksums, file.pieces, tuple(mirrors))
        metalink = written(tmp_path, file)
        regather.download(metalink, tmp_path, location="DE", settings=QUICK)
        assert there.asked == []
        regather.download(metalink, tmp_path / "again", settings=QUICK)
        assert there.asked


@pytest.mark.parametrize("stores", [True, False])
def test_a_store_that_is_not_set_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, stores: bool
) -> None:
    """Who wrote the metalink named it: others are there, with obstore and without."""
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    if not stores:
        monkeypatch.setitem(sys.modules, "obstore", None)
        genuine = importlib.util.find_spec
        monkeypatch.setattr(
            "importlib.util.find_spec", lambda name: None if name == "obstore" else genuine(name)
        )
    with mirror(CONTENT) as good:
        file = described(["az://container/f.bin", good.url + "f"], algorithm="")
        regather.download(written(tmp_path, file), tmp_path / "got", settings=QUICK)
    assert (tmp_path / "got").read_bytes() == CONTENT


def test_by_url_and_with_a_checksum(tmp_path: Path) -> None:
    right = "sha256:" + hashlib.sha256(CONTENT).hexdigest()
    with mirror(CONTENT) as one:
        one.pages["/describe"] = write_metalink([described([one.url + "f"])])
        url = one.url + "describe"
        report = regather.download(url, tmp_path, checksum=right, settings=QUICK)
        assert report.name == "f.bin"
        with pytest.raises(regather.VerificationError, match="another checksum"):
            regather.download(url, tmp_path / "no", checksum=f"sha256:{'0' * 64}", settings=QUICK)
        one.pages["/describe"] = one.pages["/describe"][:-20]
        with pytest.raises(regather.ManifestError, match="well-formed"):
            regather.download(url, tmp_path / "no", settings=QUICK)


def test_a_metalink_that_the_server_points_to(tmp_path: Path) -> None:
    with mirror(CONTENT) as named, mirror(CONTENT) as further, mirror(CONTENT) as stranger:
        named.pages["/f.meta4"] = write_metalink([described([further.url + "f"])])
        stranger.pages["/f.meta4"] = named.pages["/f.meta4"]
        link = "rel=describedby; type=application/metalink4+xml"
        named.headers["Link"] = f"<f.meta4>; {link}"
        report = regather.download(named.url + "latest", tmp_path, settings=QUICK)
        assert report.verified_by == "sha256 of the pieces"
        assert (tmp_path / "latest").read_bytes() == CONTENT
        assert {s.url for s in report.sources} == {named.url + "latest", further.url + "f"}
        named.headers["Link"] = f"<{stranger.url}f.meta4>; {link}"
        report = regather.download(named.url + "latest", tmp_path, force=True, settings=QUICK)
        assert not report.verified, "nobody named that host"


def test_several_files(tmp_path: Path) -> None:
    with mirror(CONTENT) as one, mirror(b"another") as two:
        metalink = written(
            tmp_path,
            described([one.url + "f"], name="disk/one.iso"),
            described([two.url + "f"], b"another", name="two.iso"),
        )
        with pytest.raises(regather.UsageError, match="has 2 files"):
            regather.download(metalink, tmp_path, settings=QUICK)
        (tmp_path / "all").mkdir()
        told = run("get", metalink, "-o", tmp_path / "all")
        assert told.returncode == 0, told.stderr
        assert "2 of 2 files" in told.stdout
        assert (tmp_path / "all" / "disk" / "one.iso").read_bytes() == CONTENT
        assert (tmp_path / "all" / "two.iso").read_bytes() == b"another"
        (tmp_path / "some").mkdir()
        assert run("get", metalink, "-o", tmp_path / "some", "--select", "two.iso").returncode == 0
        assert [p.name for p in (tmp_path / "some").iterdir()] == ["two.iso"]
        told = run("get", metalink, "-o", tmp_path / "none")
        assert (told.returncode, "not a folder" in told.stderr) == (2, True)
        told = run("get", metalink, "--select", "three.iso", cwd=tmp_path)
        assert (told.returncode, "no file 'three.iso'" in told.stderr) == (2, True)


def test_folders_that_are_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "disk").symlink_to(tmp_path / "elsewhere")
    with mirror(CONTENT) as one:
        metalink = written(tmp_path, described([one.url + "f"], name="disk/one.iso"))
        with pytest.raises(regather.UsageError, match="is a link"):
            regather.download(metalink, tmp_path / "in", settings=QUICK)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_what_cannot_be_used_is_told(tmp_path: Path) -> None:
    published = Path(__file__).parent.parent / "metalink" / "published" / "mirrorbrain_signed.meta4"
    with mirror(b"x" * 300) as one:
        text = published.read_text().replace("https://mirror.a.example/", one.url)
        (tmp_path / "signed.meta4").write_text(text)
        told = run("get", tmp_path / "signed.meta4", "-o", tmp_path, "--retries", "0", timeout=90)
    assert "signature in the metalink is not verified" in told.stderr
    assert told.returncode == 3, "the bytes are others than those that were published"
    (tmp_path / "gopher.meta4").write_bytes(
        write_metalink([MetalinkFile("f", 1, (), (), (Mirror("gopher://a.example/f"),))])
    )
    told = run("get", tmp_path / "gopher.meta4", cwd=tmp_path)
    assert (told.returncode, "no usable URL for it" in told.stderr) == (4, True)


def published(folder: Path, url: str, *values: str) -> str:
    path = folder / "bad.meta4"
    path.write_text(
        f'<metalink xmlns="urn:ietf:params:xml:ns:metalink"><file name="f.bin">{"".join(values)}'
        f'<url priority="high">{url}</url></file><file name="../f.bin"/></metalink>'
    )
    return str(path)


SHA256 = f'<hash type="sha-256">{hashlib.sha256(CONTENT).hexdigest()}</hash>'
BAD = '<size>big</size><hash type="md5">bad</hash>'


def test_bad_values_are_told_and_the_good_ones_count(tmp_path: Path) -> None:
    with mirror(CONTENT) as good, mirror(bytes(len(CONTENT))) as bad:
        metalink = published(tmp_path, good.url + "f", BAD, SHA256)
        told = run("get", metalink, "-o", tmp_path / "got", "--json")
        assert told.returncode == 0, told.stderr
        assert (tmp_path / "got").read_bytes() == CONTENT
        report = json.loads(told.stdout.splitlines()[-1])
        for part in ("size is 'big'", "md5 is 'bad'", "priority is 'high'", "'../f.bin'"):
            assert any(part in note for note in report["notes"]), report["notes"]
        told = run("get", metalink, "-o", tmp_path / "again")
        assert "the metalink's md5 is 'bad', not a hash of this type: left out" in told.stderr
        wrong = published(tmp_path, bad.url + "f", BAD, SHA256)
        assert run("get", wrong, "-o", tmp_path / "wrong").returncode == 3
        assert not (tmp_path / "wrong").exists()


def test_without_one_good_hash_nothing_is_got_but_by_the_users_own(tmp_path: Path) -> None:
    """Its publisher wanted it verified: less than that is for the user to decide."""
    with mirror(CONTENT) as good:
        metalink = published(tmp_path, good.url + "f", BAD)
        told = run("get", metalink, "-o", tmp_path / "got")
        assert (told.returncode, "no usable hash" in told.stderr) == (3, True)
        assert not (tmp_path / "got").exists()
        checksum = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
        told = run("get", metalink, "-o", tmp_path / "got", "--checksum", checksum)
        assert told.returncode == 0, told.stderr
        assert (tmp_path / "got").read_bytes() == CONTENT


def test_what_only_begins_like_a_metalink_is_a_file(tmp_path: Path) -> None:
    content = b"<!---->" * 400 + b"x" * 1000
    with mirror(content) as one:
        regather.download(one.url + "f", tmp_path / "got", settings=QUICK)
    assert (tmp_path / "got").read_bytes() == content


def test_a_stream_of_pieces_that_contradict_the_whole(tmp_path: Path) -> None:
    """The last piece is held back, so that nobody takes it for the file."""
    with mirror(CONTENT) as server:
        file = described([server.url + "f.bin"])
        with regather.stream(written(tmp_path, file), settings=QUICK) as stream:
            assert b"".join(stream) == CONTENT
        other = Checksum("sha256", hashlib.sha256(b"other").digest())
        wrong = MetalinkFile(file.name, file.size, (other,), file.pieces, file.mirrors)
        with regather.stream(written(tmp_path, wrong), settings=QUICK) as stream:
            given: list[bytes] = []
            with pytest.raises(regather.VerificationError, match="its pieces are right, but"):
                given.extend(stream)
        assert b"".join(given) == CONTENT[: 10 * PIECE]
