"""Metalinks read: as they are published, and as nobody honest would publish them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regather.checksum import Checksum
from regather.errors import ManifestError
from regather.metalink.detect import MAX_METALINK_BYTES, looks_like_metalink
from regather.metalink.parts import path_flaw
from regather.metalink.read import read_metalink
from regather.metalink.values import Metalink, MetalinkFile, Mirror, Pieces
from regather.metalink.write import write_metalink
from tests.support.steps import assert_linear

PUBLISHED = Path(__file__).parent / "published"
A_SHA256 = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"


def published(name: str) -> Metalink:
    data = (PUBLISHED / name).read_bytes()
    assert looks_like_metalink(data)
    return read_metalink(data, name)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"])
def test_encodings_with_a_mark(encoding: str) -> None:
    text = (PUBLISHED / "mirrorbrain_image.meta4").read_text()
    text = text.replace("UTF-8", "UTF-8" if "8" in encoding else "UTF-16")
    mark = "" if encoding in ("utf-16", "utf-8-sig") else "\ufeff"
    data = (mark + text).encode(encoding)
    assert looks_like_metalink(data)
    assert looks_like_metalink(data[:3001])
    (file,) = read_metalink(data).files
    assert file.name == "system-net.iso"


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
    good = document("<size>1</size>").replace(
        b"</metalink>", f'<file name="{name}"><size>2</size></file></metalink>'.encode()
    )
    metalink = read_metalink(good)
    assert [(file.name, file.size) for file in metalink.files] == [("f", 1)]
    (note,) = metalink.notes
    assert "file name" in note


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


GOOD = f'<hash type="sha-256">{A_SHA256}</hash>'
NINE = "<size>9</size>"


@pytest.mark.parametrize(
    ("inside", "says"),
    [
        (f'{GOOD}<hash type="sha256">{"0" * 64}</hash>', "two different sha256"),
        ("<size>1</size><size>2</size>", "two different sizes"),
        ("<a>" * 20 + "</a>" * 20, "deeply"),
        ("<size>1</size>" + "<size>", "well-formed"),
    ],
)
def test_what_contradicts_itself(inside: str, says: str) -> None:
    with pytest.raises(ManifestError, match=says):
        read_metalink(document(inside), "m.meta4")


def test_a_file_that_contradicts_itself_is_left_out_alone() -> None:
    data = document("<size>1</size><size>2</size>").replace(
        b"</metalink>", b'<file name="good"/></metalink>'
    )
    metalink = read_metalink(data)
    assert [file.name for file in metalink.files] == ["good"]
    assert metalink.notes == ("the metalink's file 'f' has two different sizes: left out",)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ("<size>-1</size>", "size is '-1'"),
        ("<size>1e3</size>", "size"),
        ("<size>big</size>", "size"),
        ("<size></size>", "size"),
        ("<size>９</size>", "size"),
        ("<size>99999999999999999999999</size>", "size"),
        ('<hash type="md5">bad</hash>', "md5 is 'bad'"),
        ('<hash type="md5"></hash>', "md5"),
        (f'<hash type="sha-1">{A_SHA256}</hash>', "sha1"),
        (f'<hash type="sha-512">{A_SHA256 * 2}0</hash>', "sha512"),
        (f"<url>http://a.example/{'x' * 9000}</url>", "url is longer"),
        (f'<hash type="md5">{"0" * 9000}</hash>', "hash is longer"),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_a_bad_value_is_left_out_and_told(bad: str, says: str, first: bool) -> None:
    inside = GOOD + "<url>http://a.example/f</url>"
    (file,) = read_metalink(document(bad + inside if first else inside + bad)).files
    assert [c.algorithm for c in file.checksums] == ["sha256"], "the good one counts"
    assert [mirror.url for mirror in file.mirrors] == ["http://a.example/f"]
    assert file.size is None
    (note,) = file.notes
    assert says in note
    assert note.startswith("the metalink's ")
    assert file.lost is ("url" not in says)


@pytest.mark.parametrize(
    ("pieces", "says"),
    [
        (f'<pieces length="4" type="sha-256"><hash>{A_SHA256}</hash></pieces>', "1 piece hashes"),
        ('<pieces length="0" type="sha-1"></pieces>', "length is missing"),
        ('<pieces type="sha-1"></pieces>', "length of pieces"),
        ('<pieces length="-9" type="sha-1"></pieces>', "length of pieces"),
        ('<pieces length="9" type="sha-1"><hash>ab</hash></pieces>', "sha1 is 'ab'"),
        (
            f'<pieces length="9" type="sha-256"><hash piece="1">{A_SHA256}</hash></pieces>',
            "number is missing",
        ),
        (f'<pieces length="9" type="sha-256"><hash piece="x">{A_SHA256}</hash></pieces>', "piece"),
    ],
)
def test_pieces_count_all_or_none(pieces: str, says: str) -> None:
    good = (
        f'<pieces length="5" type="sha-256"><hash>{A_SHA256}</hash><hash>{A_SHA256}</hash></pieces>'
    )
    (file,) = read_metalink(document(NINE + pieces + good)).files
    assert [p.length for p in file.pieces] == [5]
    assert says in "".join(file.notes)
    assert file.lost


@pytest.mark.parametrize(
    ("attribute", "rank", "told"),
    [
        ('priority="1"', 1, 0),
        ('priority="0"', 1, 0),
        ('priority="999999"', 999_999, 0),
        ('priority="1000000"', 999_999, 1),
        ('priority="high"', 999_999, 1),
        ('priority="-1"', 999_999, 1),
        ('preference="100"', 1, 0),
        ('preference="1"', 100, 0),
        ('preference="200"', 1, 0),  # as in the example that libmetalink comes with
        ('preference="9999999999999999999999"', 999_999, 1),
        ('preference="high"', 999_999, 1),
        ('preference=""', 999_999, 0),
    ],
)
def test_ranks_of_urls(attribute: str, rank: int, told: int) -> None:
    (file,) = read_metalink(document(f"<url {attribute}>http://a.example/f</url>")).files
    assert [mirror.priority for mirror in file.mirrors] == [rank]
    assert len(file.notes) == told


def test_what_is_told_is_bounded() -> None:
    (file,) = read_metalink(document("<size>x</size>" * 5000)).files
    assert len(file.notes) == 21
    assert "4980 more" in file.notes[-1]


@pytest.mark.parametrize("before", [b"", b"\n", b"\r\n \t"])
def test_beginnings_that_scripts_write(before: bytes) -> None:
    """A blank line before the declaration, and no namespace at all."""
    bare = document("<size>5</size>").replace(b' xmlns="urn:ietf:params:xml:ns:metalink"', b"")
    for data in (bare, document("<size>5</size>")):
        assert [file.size for file in read_metalink(before + data).files] == [5]


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


def test_of_two_files_of_one_name_the_first_counts() -> None:
    data = document(NINE).replace(
        b"</metalink>", b'<file name="f"><size>1</size></file></metalink>'
    )
    metalink = read_metalink(data)
    assert [file.size for file in metalink.files] == [9]
    assert "twice" in metalink.notes[0]


def test_addresses_that_are_none_of_ours() -> None:
    urls = ["rsync://a.example/f", "file:///etc/passwd", "http://u:p@a.example/f", "x", "http:///f"]
    (file,) = read_metalink(document("".join(f"<url>{u}</url>" for u in urls))).files
    assert (file.mirrors, file.others) == ((), len(urls))


def test_urls_of_torrents_in_version_3() -> None:
    data = document(
        '<url type="bittorrent" preference="100">http://a.example/f.torrent</url>'
        '<url type="ed2k">http://a.example/f</url>'
        '<url type="HTTP">http://b.example/f</url><url>https://c.example/f</url>'
    )
    (file,) = read_metalink(data).files
    assert [mirror.url for mirror in file.mirrors] == ["http://b.example/f", "https://c.example/f"]
    assert file.others == 2


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


@pytest.mark.parametrize(
    ("start", "is_one"),
    [
        (b"<metalink xmlns=", True),
        (b'\xef\xbb\xbf<?xml version="1.0"?>\n<metalink>', True),
        (
            b'<?xml version="1.0"?><?xml-stylesheet href="x"?><!-- a --><!-- > --> <m:metalink ',
            True,
        ),
        (b"<!---->" * 100 + b"<metalink>", True),
        (b"<!DOCTYPE metalink [", True),
        (b"<!---->" * 580 + b"x" * 1000, False),
        (b"<!-- <metalink> ", False),
        (b"<?xml <metalink> ", False),
        (b"<metalinks>", False),
        (b"<html><metalink>", False),
        (b"{}", False),
        (b"", False),
        (b" " * 5000, False),
    ],
)
def test_how_a_metalink_begins(start: bytes, is_one: bool) -> None:
    assert looks_like_metalink(start) is is_one


@pytest.mark.parametrize("piece", [b"<!---->", b"<?a?>", b" ", b"<!--", b"<", b"<?xml", b"<a:"])
def test_looking_costs_no_more_than_the_length(piece: bytes) -> None:
    assert_linear(lambda count: looks_like_metalink(piece * count + b"x"), 1800 // len(piece))


@pytest.mark.parametrize(
    "piece",
    [
        *("<size>x</size>", "<url>http://a.example/f</url>", '<hash type="md5">x</hash>', "<a/>"),
        *(
            '<pieces type="sha-1" length="1"/>',
            "</file><file name='../x'>",
            "</file><file name='f'>",
        ),
        "x",
    ],
)
def test_long_ones_cost_no_more_than_their_length(piece: str) -> None:
    assert_linear(lambda count: read_metalink(document(piece * count)), 500)
