"""What servers say of a file in the heads of their answers."""

from __future__ import annotations

import base64

import pytest

from regather.checksum import Checksum
from regather.metalink.headers import Links, digests, links, offered_name
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


NAMES = [
    ("", ""),
    ("inline", ""),
    ("attachment", ""),
    ("attachment; filename=a.iso", "a.iso"),
    ("attachment;FileName=a.iso;", "a.iso"),
    ("filename=a.iso", "a.iso"),
    ("attachment filename=a.iso", "a.iso"),
    ("attachment; foo=x; filename \t= a.iso ; size=5", "a.iso"),
    ('attachment; foo="filename=b; filename=c"; filename=a.iso', "a.iso"),
    ("attachment; xfilename=b; filename=a.iso", "a.iso"),
    ("attachment; filename=a.iso; filename=b.iso", "a.iso"),
    ("attachment; name=a.iso", ""),
    ('attachment; filename="a b.iso"; size=5', "a b.iso"),
    ('attachment; filename="a;b,c=d.iso"', "a;b,c=d.iso"),
    ("attachment; filename=a b.iso", "a b.iso"),
    ("attachment; filename=a,b<c.iso", "a,b<c.iso"),
    ("attachment; filename='a.iso'", "'a.iso'"),
    ('attachment; filename="a.iso', "a.iso"),
    ('attachment; filename="a.iso"x', "a.iso"),
    ('attachment; filename="a.iso\\', "a.iso"),
    ('attachment; filename=""', ""),
    ("attachment; filename=", ""),
    # RFC 9110, 5.6.4: a backslash means the character behind it; in a path it is part of that.
    ('attachment; filename="a\\"b.bin"', 'a"b.bin'),
    ('attachment; filename="f\\oo.html"', "foo.html"),
    ('attachment; filename="C:\\dir\\x.exe"', "x.exe"),
    ('attachment; filename="C:\\\\dir\\\\x.exe"', "x.exe"),
    ('attachment; filename="\\\\server\\dir\\x.exe"', "x.exe"),
    ('attachment; filename="../../etc/passwd"', "passwd"),
    ('attachment; filename=".bashrc"', "bashrc"),
    ('attachment; filename=". .a"', "a"),
    ('attachment; filename=".."', ""),
    ('attachment; filename="dir/"', ""),
    ('attachment; filename="a\u202egnp.exe"', "agnp.exe"),
    # In UTF-8, else in ISO-8859-1 (RFC 2616). A percent sign means itself, though Chromium
    # decodes it: RFC 6266, 4.1, has that in filename* only.
    ("attachment; filename=caf\xc3\xa9.png", "caf\xe9.png"),
    ("attachment; filename=caf\xe9.png", "caf\xe9.png"),
    ("attachment; filename=foo-%41.html", "foo-%41.html"),
    # RFC 8187, 3.2
    ("attachment; filename*=UTF-8''foo-%c3%a4-%e2%82%ac.html", "foo-\xe4-\u20ac.html"),
    ("attachment; filename*=utf-8'en'John's%20R.pdf", "John's R.pdf"),
    ("attachment; filename*=iso-8859-1''foo-%E4.html", "foo-\xe4.html"),
    ("attachment; filename*=windows-1252''caf%E9.png", "caf\xe9.png"),
    ("attachment; filename*=EUC-JP''%B7%DD%BD%D13%2Epng", "\u82b8\u88533.png"),
    ("attachment; filename* =UTF-8''a.iso", "a.iso"),
    # RFC 2231, 3 and 4.1, as mail programs write it.
    ("attachment; filename*0=foo; filename*1=bar.iso", "foobar.iso"),
    ('attachment; filename*1="bar.iso"; filename*0="a \\"b "', 'a "b bar.iso'),
    ("attachment; filename*0*=UTF-8''%e2%82; filename*1*=%ac%20; filename*2=b.iso", "\u20ac b.iso"),
    ("attachment; filename*0*=iso-8859-1'en'%E4; filename*1=.iso; filename=c", "\xe4.iso"),
    ("attachment; filename*0=a; filename*2=b; filename*00=c", "a"),
    ("attachment; filename*1=a; filename=b.iso", "b.iso"),
    ("attachment; filename*0=/etc/; filename*1=../x", "x"),
    ("attachment; filename*=UTF-8''a.iso; filename*0=b", "a.iso"),
    ("attachment; filename*= UTF-8''a.iso", "a.iso"),
    ("attachment; filename*=\"UTF-8''a.iso\"", "a.iso"),
    ("attachment; filename*=UTF-8''\"a.iso\"", "a.iso"),
    ("attachment; filename*=UTF-8''a b.iso", "a b.iso"),
    ("attachment; filename*=UTF-8''\xc3\xa4.iso", "\xe4.iso"),
    ("attachment; filename*=UTF-8''50%.iso", "50%.iso"),
    ("attachment; filename*=UTF-8''..%2F..%2Fx", "x"),
    ("attachment; filename*=UTF-8''a%00b", ""),
    ("attachment; filename*=UTF-8''a%0Ab", ""),
    # Both: the extended one (RFC 6266, 4.3), if it can be read.
    ("attachment; filename=\"foo-ae.html\"; filename*=UTF-8''foo-%c3%a4.html", "foo-\xe4.html"),
    ("attachment; filename*=UTF-8''x.7z; filename=y.7z", "x.7z"),
    ("attachment; filename*=foo.html; filename=y.7z", "y.7z"),
    ("attachment; filename*=bogus''foo.html; filename=y.7z", "y.7z"),
    ("attachment; filename*=''foo.html; filename=y.7z", "y.7z"),
    ("attachment; filename*=UTF-8''foo-%E4.html; filename=y.7z", "y.7z"),
    ("attachment; filename*=unicode_escape''foo; filename=y.7z", "y.7z"),
    # RFC 2047, as in mail; RFC 6266, C.3, has it not, browsers do, and nobody is called so.
    ('attachment; filename="=?iso-8859-1?Q?caf=E9_1=2Epng?="', "caf\xe9 1.png"),
    ("attachment; filename==?eUc-Kr?b?v7m8+iAzLnBuZw==?=", "\uc608\uc220 3.png"),
    ('attachment; filename="=?utf-8?q?a?=  =?UTF-8?B?YmM=?=.x"', "abc.x"),
    ("attachment; filename==?utf-8?b?*?=", "=?utf-8?b?*?="),
    ("attachment; filename==?bogus?q?a?=", "=?bogus?q?a?="),
    ("attachment; filename=a.iso; x=" + "a" * 5000, ""),
]


@pytest.mark.parametrize(("told", "name"), NAMES)
def test_names(told: str, name: str) -> None:
    if "\u202e" in told:
        told = told.encode().decode("latin-1")
    assert offered_name({"content-disposition": told}) == name


def test_long_names_stay_apart() -> None:
    told = [f"attachment; filename={'a' * 300}{n}.iso" for n in range(2)]
    one, other = (offered_name({"content-disposition": text}) for text in told)
    assert one != other
    assert len(one) == len(other) == 255
    assert one.endswith(".iso")


@pytest.mark.parametrize(
    ("told", "duplicates"),
    [
        ("<http://b/1>; rel=duplicate", ("http://b/1",)),
        ("<http://b/1>;REL=Duplicate", ("http://b/1",)),
        ("<http://b/1> ; rel = 'x duplicate' ", ()),
        ('<http://b/1>; rel="x duplicate"', ("http://b/1",)),
        ("<http://b/1;a,b>; title=\"a, <x>; rel=duplicate\", <2>;rel=duplicate", ("http://a/2",)),
        ('<http://b/1>; title="a\\", b"; rel=duplicate', ("http://b/1",)),
        # RFC 8288, 3.3: only the first rel counts.
        ("<http://b/1>; rel=x; rel=duplicate", ()),
        ("<http://b/1>; rel=duplicate; pri=9, </2>; rel=duplicate; pri=1",
         ("http://a/2", "http://b/1")),
        ("http://b/1; rel=duplicate, <http://b/2; rel=duplicate", ()),
        (",,; <http://b/1>, ;rel=duplicate,", ()),
    ],
)  # fmt: skip
def test_what_is_linked(told: str, duplicates: tuple[str, ...]) -> None:
    assert links({"link": told}, "http://a/d") == Links(duplicates, ())
