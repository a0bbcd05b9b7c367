"""What servers say of a file in the heads of their answers."""

from __future__ import annotations

import base64

import pytest

from regather.checksum import Checksum
from regather.metalink import Links, digests, links, offered_name
from tests.support.steps import assert_linear

SHA256 = bytes(range(32))
CODED = base64.b64encode(SHA256).decode()


@pytest.mark.parametrize(
    "headers",
    [
        {"digest": f"SHA-256={CODED}"},
        {"digest": f"MD5=broken, sha-256={CODED}, UNIXsum=30637"},
        {"repr-digest": f"sha-256=:{CODED}:"},
        {"repr-digest": f"crc32c=:AAAAAA==:, sha-256=:{CODED}:;x=1"},
        {"repr-digest": f"sha-256=:{CODED}:", "digest": "SHA-256=AAAA"},
    ],
)
def test_digests(headers: dict[str, str]) -> None:
    assert digests(headers, "http://a.example/f") == (
        Checksum("sha256", SHA256, "http://a.example/f"),
    )


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"digest": ""},
        {"digest": f"sha-256={CODED[:-8]}"},
        {"digest": "sha-256=***"},
        {"content-digest": f"sha-256=:{CODED}:"},
    ],
)
def test_no_digests(headers: dict[str, str]) -> None:
    assert digests(headers, "x") == ()


def test_links_of_a_mirror_redirector() -> None:
    told = (
        "<http://two.example/f>; rel=duplicate; pri=2; geo=de, "
        '<https://one.example/f,1>; rel="duplicate"; pri=1; geo="us"; depth=1, '
        '<f.meta4>; rel=describedby; type="application/metalink4+xml", '
        '<http://x.example/f.asc>; rel=describedby; type="application/pgp-signature", '
        "<http://three.example/f>; rel=duplicate, </style.css>; rel=stylesheet"
    )
    assert links({"link": told}, "http://download.example/dir/f") == Links(
        ("https://one.example/f,1", "http://two.example/f", "http://three.example/f"),
        ("http://download.example/dir/f.meta4",),
    )


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ('<a>; rel="other duplicate"', "a"),
        ("<a> ; REL = Duplicate", "a"),
        ("<a>;;rel=duplicate;", "a"),
        (r'<a>; title="x\", <b>; y"; rel=duplicate', "a"),
        ('<a>; title="; rel=stylesheet"; rel=duplicate', "a"),
        ("<a>; rel=duplicate; rel=stylesheet", "a"),  # RFC 8288 3.3: the first one counts
        ("<a>; rel=stylesheet; rel=duplicate", ""),
        ("garbage, <a>; rel=duplicate", "a"),
        ('<x>; title="not ended, <a>; rel=duplicate', "a"),
        (",, ,<a>; rel=duplicate", "a"),
        ("<x;y, <a>; rel=duplicate", "a"),
        ("<a> rel=duplicate", ""),
    ],
)
def test_links_as_they_are_written(told: str, found: str) -> None:
    names = [
        url.rpartition("/")[2] for url in links({"link": told}, "http://h.example/").duplicates
    ]
    assert names == ([found] if found else [])


@pytest.mark.parametrize(
    "piece",
    [
        *("<", "<a>", "<a>,", "<a>;", "; ", ";a=b", ' ;a="b"', '<a>;a="', '<a>;a="\\",', ",", " "),
        *('"', "a=b,", "a=:", "=", "sha-256=:AA:,", "a" * 10, ";a", "<a>; rel=duplicate,"),
    ],
)
def test_long_headers_cost_no_more_than_their_length(piece: str) -> None:
    def read(count: int) -> None:
        for before in ("", "<a>", "<a>; ", "sha-256="):
            text = before + piece * count
            links({"link": text}, "http://a.example/")
            digests({"digest": text, "repr-digest": text}, "x")
            offered_name({"content-disposition": text})

    assert_linear(read, 500)


@pytest.mark.parametrize("told", ["", "<", "<>", "x; rel=duplicate", "<http://[>; rel=duplicate"])
def test_links_that_are_none(told: str) -> None:
    assert links({"link": told}, "http://a.example/").metalinks == ()


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("attachment; filename=a.iso", "a.iso"),
        ('attachment; filename="a b.iso"; size=5', "a b.iso"),
        ("attachment; filename=\"old.iso\"; filename*=UTF-8''%C3%A4.iso", "ä.iso"),
        ('attachment; filename="../../etc/passwd"', "passwd"),
        ("attachment; filename*=UTF-8''..%2F..%2Fx", "x"),
        ('attachment; filename="C:\\\\dir\\\\x.exe"', "x.exe"),
        ('attachment; filename=".bashrc"', "bashrc"),
        ('attachment; filename=".."', ""),
        ("attachment; filename*=UTF-8''a%00b", ""),
        ("attachment; filename*=UTF-8''a%0Ab", ""),
        ("inline", ""),
        ("", ""),
    ],
)
def test_names(told: str, name: str) -> None:
    assert offered_name({"content-disposition": told}) == name
