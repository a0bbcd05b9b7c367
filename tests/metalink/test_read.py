"""Metalinks read: as they are published, and as nobody honest would publish them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regather.checksum import Checksum
from regather.errors import ManifestError
from regather.metalink import (
    MAX_METALINK_BYTES,
    Metalink,
    MetalinkFile,
    Mirror,
    Pieces,
    looks_like_metalink,
    path_flaw,
    read_metalink,
    write_metalink,
)

PUBLISHED = Path(__file__).parent / "published"
A_SHA256 = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"


def published(name: str) -> Metalink:
    data = (PUBLISHED / name).read_bytes()
    assert looks_like_metalink(data)
    return read_metalink(data, name)


def test_an_image_as_a_mirror_redirector_publishes_it() -> None:
    (file,) = published("mirrorbrain_image.meta4").files
    assert (file.name, file.size, file.signed) == ("system-net.iso", 600_000, False)
    assert {c.algorithm for c in file.checksums} == {"md5", "sha1", "sha256"}
    (pieces,) = file.pieces
    assert (pieces.algorithm, pieces.length, len(pieces.hashes)) == ("sha1", 262_144, 60)
    assert pieces.hashes[:20].hex() == "e9d71f5ee7c92d6dc9e92ffdad17b8bd49418f98"
    found = [(m.location, m.priority) for m in file.mirrors]
    assert found == [("de", 1), ("de", 2), ("us", 3), ("us", 4)]
    assert file.mirrors[1].url == "https://mirror.two.example/leap/iso/system-net.iso"
    assert file.mirrors[3].url.startswith("ftp://")
    assert file.others == 0, "the torrent is no URL of the file"


def test_a_signed_archive_with_pieces_of_two_kinds() -> None:
    (file,) = published("mirrorbrain_signed.meta4").files
    assert file.signed
    assert [p.algorithm for p in file.pieces] == ["sha1", "sha256"]
    assert [m.url.split("/")[2] for m in file.mirrors] == ["mirror.a.example", "mirror.b.example"]


def test_a_repository_index_in_the_older_form() -> None:
    metalink = published("repository_v3.metalink")
    (file,) = metalink.files
    assert metalink.version == 3
    assert (file.name, file.size) == ("repomd.xml", 4567)
    assert Checksum("sha256", bytes.fromhex(A_SHA256), "metalink") in file.checksums
    assert [m.url.split("/")[2] for m in file.mirrors] == [
        "mirror.one.example",
        "mirror.three.example",
        "mirror.two.example",
    ]
    assert file.mirrors[0].location == "de"


def document(inside: str, *, name: str = "f", before: str = "") -> bytes:
    return (
        f'<?xml version="1.0"?>{before}<metalink xmlns="urn:ietf:params:xml:ns:metalink">'
        f'<file name="{name}">{inside}</file></metalink>'
    ).encode()


@pytest.mark.parametrize(
    "name",
    [
        *("../f", "a/../../f", "/etc/passwd", "..", ".", "", "a//b", "a/./b", "a/", "/"),
        *("C:f", "c:/f", "..\\f", "\\\\host\\share", "a\\b", "a&#10;b", "a&#x85;b", "x" * 256),
    ],
)
def test_names_that_lead_elsewhere(name: str) -> None:
    with pytest.raises(ManifestError, match="file name"):
        read_metalink(document("<size>1</size>", name=name))


def test_a_nul_in_a_name() -> None:
    assert path_flaw("a\0b")
    for written in ("a\0b", "a&#0;b"):
        with pytest.raises(ManifestError):
            read_metalink(document("", name=written))


def test_names_with_folders_are_paths_below() -> None:
    assert read_metalink(document("", name="debug/x.rpm")).files[0].name == "debug/x.rpm"


BOMB = "<!DOCTYPE metalink [" + "".join(
    f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "x" * 100}">' for n in range(10)
)


@pytest.mark.parametrize(
    "before",
    [
        BOMB + "]>",
        '<!DOCTYPE metalink [<!ENTITY e9 SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE metalink SYSTEM "http://127.0.0.1:9/x.dtd">',
        '<!DOCTYPE metalink [<!ENTITY % p SYSTEM "http://127.0.0.1:9/x.dtd"> %p;]>',
        "<!DOCTYPE metalink>",
    ],
)
def test_dtds_are_refused(before: str) -> None:
    data = document("<size>&e9;</size>", before=before)
    with pytest.raises(ManifestError, match="DTD"):
        read_metalink(data)


def test_entities_without_a_dtd_are_not_well_formed() -> None:
    with pytest.raises(ManifestError, match="well-formed"):
        read_metalink(document("<size>&lol;</size>"))


@pytest.mark.parametrize(
    ("inside", "says"),
    [
        ("<size>-1</size>", "size"),
        ("<size>1e3</size>", "size"),
        ("<size>９</size>", "size"),
        ("<size>99999999999999999999999</size>", "size"),
        ('<hash type="sha-256">abc</hash>', "sha256"),
        (f'<hash type="sha-1">{A_SHA256}</hash>', "sha1"),
        (f'<hash type="sha-256">{A_SHA256}</hash><hash type="sha256">{"0" * 64}</hash>', "two"),
        (f'<size>9</size><pieces length="4" type="sha-256"><hash>{A_SHA256}</hash></pieces>', "3"),
        ('<size>9</size><pieces length="0" type="sha-1"></pieces>', "no length"),
        ('<pieces type="sha-1"></pieces>', "length of pieces"),
        ('<url priority="x">http://a.example/f</url>', "priority"),
        (f"<url>http://a.example/{'x' * 9000}</url>", "longer"),
        ("<a>" * 20 + "</a>" * 20, "deeply"),
        ("<size>1</size>" + "<size>", "well-formed"),
    ],
)
def test_what_contradicts_itself(inside: str, says: str) -> None:
    with pytest.raises(ManifestError, match=says):
        read_metalink(document(inside), "m.meta4")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"<metalink/>",
        b'<metalink xmlns="urn:example:other"><file name="f"/></metalink>',
        b'<metalink xmlns="urn:ietf:params:xml:ns:metalink"></metalink>',
        document("")[:-5],
        b'<?xml version="1.0" encoding="no-such"?>' + document("")[21:],
        document("").replace(b'name="f"', b""),
    ],
)
def test_what_is_no_metalink(data: bytes) -> None:
    with pytest.raises(ManifestError):
        read_metalink(data)


def test_the_size_is_bounded() -> None:
    with pytest.raises(ManifestError, match="larger than"):
        read_metalink(document("") + b" " * MAX_METALINK_BYTES)


def test_two_files_of_one_name() -> None:
    data = document("").replace(b"</metalink>", b'<file name="f"/></metalink>')
    with pytest.raises(ManifestError, match="twice"):
        read_metalink(data)


def test_addresses_that_are_none_of_ours() -> None:
    urls = ["rsync://a.example/f", "file:///etc/passwd", "http://u:p@a.example/f", "x", "http:///f"]
    (file,) = read_metalink(document("".join(f"<url>{u}</url>" for u in urls))).files
    assert (file.mirrors, file.others) == ((), len(urls))


def test_what_is_written_is_read_again() -> None:
    files = (
        MetalinkFile(
            "a & <b>.iso",
            5,
            (Checksum("sha256", bytes(range(32)), "metalink"),),
            (Pieces("sha256", 2, bytes(range(96))), Pieces("sha1", 4, bytes(range(40)))),
            (Mirror("http://a.example/?x=1&y=2", 1, "de"), Mirror("https://b.example/f", 2)),
        ),
        MetalinkFile("folder/empty", 0),
    )
    assert read_metalink(write_metalink(files, "2026-01-31T12:00:00Z")) == Metalink(files)


@settings(deadline=None)
@given(st.sampled_from(sorted(PUBLISHED.iterdir())), st.data())
def test_damaged_ones_are_read_or_refused(path: Path, data: st.DataObject) -> None:
    document = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(document) - 1))
        document[at : at + data.draw(st.integers(0, 20))] = data.draw(st.binary(max_size=20))
    try:
        found = read_metalink(bytes(document))
    except ManifestError:
        return
    assert not any(path_flaw(file.name) for file in found.files)
