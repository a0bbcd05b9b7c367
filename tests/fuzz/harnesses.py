"""Every parser that takes what strangers send, or what stands in files, as one function of bytes.

Each raises AssertionError where what it read is not as promised.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import socket
import tempfile
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from operator import attrgetter
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from regather.cli import parser_of
from regather.cli.conf import check_tables
from regather.cli.conf.aliases import aliases_in
from regather.cli.conf.config_file import load
from regather.cli.conf.defaults import defaults_for
from regather.cli.conf.host_tables import host_options_in, tokens_in
from regather.cli.conf.trust_tables import trust_names_in
from regather.cli.parsing import commands_of
from regather.digest import piece_hash
from regather.errors import RegatherError
from regather.folder.document import folder_bytes
from regather.folder.values import Entry, Folder
from regather.hashes import HASH_SIZE
from regather.manifest import Manifest
from regather.metalink.detect import looks_like_metalink
from regather.metalink.headers import digests, links, offered_name
from regather.metalink.read import read_metalink
from regather.model import Fragment, FragmentIndex, Layout
from regather.names import flaw_of
from regather.schemes import REMOTE
from regather.server.ranges import MAX_RANGES, UnsatisfiableRange, parse_ranges
from regather.store import Destination
from regather.store.journal import peek
from regather.transport.base import RequestFailed
from regather.transport.channel import Channel
from regather.transport.cookies import Cookies
from regather.transport.fields import decoded
from regather.transport.head import ChunkedBody, Head, HttpRequest, check_status, split_url
from regather.transport.logins import read_logins
from regather.transport.options import TransportOptions
from regather.transport.ranges import content_range, judge_range, judge_whole, told_size, total_of
from regather.transport.redirects import _onward
from regather.trust.comment import parse_comment
from regather.trust.public_key import PublicKey, public_key
from regather.trust.signature import SignatureFlaw, parse_signature
from regather.units import MAX_SIZE, parse_rate, parse_size

_URL = "https://a.example/b/c.bin"
_SIZES = (0, 1, 1000, 1 << 40)
_SHORT = 64 << 10


class Harness(Struct, frozen=True):
    """A parser and what it may raise: errors of ours, and no others."""

    name: str
    run: Callable[[bytes], None]
    raises: tuple[type[Exception], ...]
    parsers: tuple[str, ...]
    """``module`` or ``module:name``, below ``regather``: whose lines it is to reach."""
    tokens: str = ""
    """Words of the format, separated by blanks."""
    most: int = 1 << 20
    """Bytes of the longest input: longer ones are refused before they are parsed."""

    def objects(self) -> list[object]:
        """The parsers."""
        found = []
        for text in self.parsers:
            name, _, inner = text.partition(":")
            module = importlib.import_module(f"regather.{name}")
            found.append(attrgetter(inner)(module) if inner else module)
        return found


# -- documents ----------------------------------------------------------------------------------


def _manifest(data: bytes) -> None:
    manifest = Manifest.from_bytes(data)
    assert Manifest.from_bytes(manifest.to_bytes()) == manifest
    layout = manifest.layout
    assert sum(layout.length_of(n) for n in range(layout.data_pieces)) == manifest.size
    assert not flaw_of(manifest.name)


@cache
def _packed() -> Manifest:
    """A manifest of 4 KiB, which a folder may be packed into."""
    content = bytes(4 << 10)
    fragment = Fragment(FragmentIndex(1), "f", 0, len(content), piece_hash(content))
    return Manifest("x", len(content), len(content), (fragment,))


def _folder(data: bytes) -> None:
    """The input is the list of entries; the digest is right."""
    manifest = _packed()
    identity = manifest.digest
    with contextlib.suppress(Exception):
        entries = msgspec.json.decode(data, type=tuple[Entry, ...])
        identity = Folder(entries).identity(identity)
    end = folder_bytes(Folder(), identity).replace(b'"entries": []', b'"entries": ' + data)
    text = manifest.to_bytes()
    read = Manifest.from_bytes(text[: text.rindex(b"\n}")] + end)
    if read.folder is not None:
        for entry in read.folder.entries:
            assert not entry.path.startswith("/")
            assert ".." not in entry.path.split("/")
        list(read.folder.clashes())


def _metalink(data: bytes) -> None:
    looks_like_metalink(data)
    for file in read_metalink(data).files:
        assert not file.name.startswith("/")
        assert ".." not in file.name.split("/")
        assert file.size is None or 0 <= file.size <= MAX_SIZE
        for mirror in file.mirrors:
            parts = urlsplit(mirror.url)
            assert parts.scheme in REMOTE
            assert "@" not in parts.netloc


def _minisig(data: bytes) -> None:
    with contextlib.suppress(RegatherError):
        public_key(str(_file(data)))
    with contextlib.suppress(SignatureFlaw):
        parse_comment(data.decode("latin-1"))
    signature = parse_signature(data)
    assert parse_signature(signature.text.encode()) == signature
    parse_comment(signature.comment)
    signature.check(b"data", PublicKey(signature.key_id, bytes(32)))
    raise AssertionError("a signature of nobody was taken")


# -- files --------------------------------------------------------------------------------------


@cache
def workspace() -> tempfile.TemporaryDirectory[str]:
    """A folder for the files that harnesses read."""
    shared = "/dev/shm" if os.path.isdir("/dev/shm") else None
    return tempfile.TemporaryDirectory(prefix="regather-fuzz-", dir=shared)


def _file(data: bytes, name: str = "file") -> Path:
    """A file with these bytes, which only its owner can read."""
    path = Path(workspace().name) / name
    path.touch(0o600)
    path.write_bytes(data)
    return path


_PIECE = 1 << 10
_CONTENT = bytes(range(256)) * 10
_IDENTITY = b"i" * HASH_SIZE


@cache
def _layout() -> Layout:
    pieces = [_CONTENT[at : at + _PIECE] for at in range(0, len(_CONTENT), _PIECE)]
    hashes = b"".join(map(piece_hash, pieces))
    fragment = Fragment(FragmentIndex(1), "f", 0, len(_CONTENT), hashes)
    return Layout(len(_CONTENT), _PIECE, (fragment,))


def _journal(data: bytes) -> None:
    """A journal beside a partial file whose middle piece is wrong: no other comes back."""
    layout = _layout()
    _file(_CONTENT[:_PIECE] + bytes(_PIECE) + _CONTENT[2 * _PIECE :], "x.regather-part")
    journal = _file(data, "x.regather-part-journal")
    assert peek(str(journal), layout, _IDENTITY) <= {0, 1, 2}
    partial = Destination(journal.with_name("x"), layout, _IDENTITY)
    try:
        assert set(partial.recover()) <= {0, 2}
    finally:
        partial.close()
    assert peek(str(journal), layout, _IDENTITY) <= {0, 2}


def _netrc(data: bytes) -> None:
    entries, bad = read_logins(str(_file(data)))
    assert all(entry.host for entry in entries)
    assert bad >= 0


@cache
def _parsers() -> dict[str, argparse.ArgumentParser]:
    return commands_of(parser_of())


def _config(data: bytes) -> None:
    config = load(str(_file(data)), unwanted=False, environment={})
    assert config is not None
    check_tables(config)
    for name in ("get", "serve", "publish"):
        defaults_for(config, name, _parsers()[name], _parsers)
    aliases_in(config)
    list(tokens_in(config))
    host_options_in(config)
    trust_names_in(config)


# -- what servers and clients send --------------------------------------------------------------

_ORIGIN = ("http", "127.0.0.1", 1)


def _head_of(**fields: str) -> Head:
    return Head(206, {name.replace("_", "-"): value for name, value in fields.items()}, True)


def _answer(data: bytes) -> None:
    """A whole answer, over a socket, to a request for a range."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        theirs.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            theirs.sendall(data)
        theirs.shutdown(socket.SHUT_WR)
        channel = Channel(TransportOptions(timeout=5.0))
        channel._socket, channel._origin = ours, _ORIGIN
        request = HttpRequest("GET", split_url("http://127.0.0.1:1/x"), ())
        head = channel._exchange_once(request, None)
        _read_head(head)
        check_status(head, "x")
        channel.left = judge_range(head, "x", 10, 20, None, "").length
        body, buffer = bytearray(), memoryview(bytearray(_SHORT))
        with contextlib.suppress(RequestFailed):
            while channel.left != 0 or channel.coded:
                body += buffer[: channel.receive(buffer)]
        assert len(body) <= len(data)
        with contextlib.suppress(ValueError):
            coding = head.headers.get("content-encoding", "")
            assert len(decoded(bytes(body), coding, _SHORT)) <= max(_SHORT, len(body))


def _read_head(head: Head) -> None:
    """All that is ever read of a head."""
    assert head.length is None or 0 <= head.length < 10**19
    assert head.retry_after is None or 0 <= head.retry_after <= 3600
    _ = head.page, head.validator, told_size(head), total_of(head)
    digests(head.headers, "x")
    links(head.headers, _URL)
    offered_name(head.headers)
    if "location" in head.headers:
        with contextlib.suppress(RequestFailed):
            assert _onward(_URL, _URL, head.headers["location"]).startswith("https:")
    with contextlib.suppress(RequestFailed):
        judge_whole(head, "x", 0, 1000, '"v"')
    Cookies().learn(_URL, head.cookies)


def _chunked(data: bytes) -> None:
    """A coded body, which comes in steps of as many bytes as its first one says."""
    step = data[0] + 1 if data else 1
    steps = iter(range(1, len(data), step))

    def more() -> bytes:
        return data[(at := next(steps)) : at + step]

    body, total = ChunkedBody(b""), 0
    with contextlib.suppress(StopIteration):  # it would wait for more
        while part := body.read(more):
            total += len(part)
    assert total <= len(data)


def _range(data: bytes) -> None:
    fields = data.decode("utf-8", "surrogateescape").split("\n")
    for size in _SIZES:
        with contextlib.suppress(UnsatisfiableRange):
            spans = parse_ranges(fields, size)
            if spans is not None:
                assert 0 < len(spans) <= MAX_RANGES
                assert all(0 <= span.start < span.stop <= size for span in spans)
                ordered = sorted(spans)
                assert all(a.stop < b.start for a, b in pairwise(ordered))


def _content_range(data: bytes) -> None:
    head = _head_of(content_range=data.decode("latin-1"))
    told_size(head)
    span = content_range(head)
    if span is not None:
        assert 0 <= span.start < span.stop
        assert span.total is None or span.stop <= span.total
    answer = judge_range(head, "x", 10, 20, None, "")
    assert span is not None
    assert not answer.ranged or span.start + answer.skip == 10 < answer.stop <= span.stop


def _disposition(data: bytes) -> None:
    name = offered_name({"content-disposition": data.decode("latin-1")})
    assert not name or not flaw_of(name)
    assert not name.startswith(".")


def _link(data: bytes) -> None:
    found = links({"link": data.decode("latin-1")}, _URL)
    assert len(found.duplicates) + len(found.metalinks) <= 100


def _digest(data: bytes) -> None:
    text = data.decode("latin-1")
    digests({"digest": text, "repr-digest": text}, "x")


def _cookies(data: bytes) -> None:
    text = data.decode("latin-1")
    cookies = Cookies()
    cookies.learn(_URL, text.split("\n"))
    for url in (_URL, "http://a.example/", "https://b.example/", "https://x.a.example/b/c"):
        header = cookies.header(url)
        assert header is None or (len(header) <= 8 << 10 and "\n" not in header)
    assert cookies.header("https://b.example/") is None
    Cookies(str(_file(data))).header(_URL)


def _size(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    with contextlib.suppress(RegatherError):
        parse_rate(text)
    assert 0 <= parse_size(text) <= MAX_SIZE


HARNESSES = {
    harness.name: harness
    for harness in (
        Harness(
            "manifest",
            _manifest,
            (RegatherError,),
            ("manifest.document", "manifest.checks"),
            tokens='"format" "regather" "version" "name" "size" "piece_size" "digest" "fragments" '
            '"index" "hashes" "offset" "kind" "data" "parity" "set" "sources" "url" "erasure" '
            '"code" "metadata" "survives" "folder" null true 1024 1152921504606846976',
        ),
        Harness(
            "folder",
            _folder,
            (RegatherError,),
            ("folder.checks", "folder.document:folder_of", "folder.values:Folder"),
            tokens='"path" "kind" "file" "folder" "link" "mode" "644" "755" "size" "offset" '
            '"mtime" "blake3" "target" ../ /.. .regather-part null',
        ),
        Harness(
            "metalink",
            _metalink,
            (RegatherError,),
            ("metalink.read", "metalink.parts", "metalink.detect"),
            tokens='<metalink xmlns="urn:ietf:params:xml:ns:metalink"> </metalink> <file name=" '
            '</file> <size> </size> <hash type="sha-256"> </hash> <pieces length=" </pieces> '
            '<url priority="1"> </url> <!DOCTYPE <!ENTITY <!-- --> <?xml encoding="utf-16" ?> '
            "<files> <resources> <verification> <signature> http:// ftp:// &amp; <![CDATA[ ]]>",
        ),
        Harness(
            "minisig",
            _minisig,
            (SignatureFlaw,),
            (
                "trust.comment:parse_comment",
                "trust.public_key:public_key",
                "trust.signature:parse_signature",
                "trust.signature:Signature.check",
            ),
            tokens="untrusted comment: trusted timestamp: file: hashed digest: version: RWQ RUQ",
            most=20 << 10,
        ),
        Harness(
            "journal",
            _journal,
            (RegatherError,),
            ("store.journal:peek", "store.journal:Journal.claims", "store.journal:_claims"),
            most=_SHORT,
        ),
        Harness(
            "answer",
            _answer,
            (RequestFailed,),
            (
                "transport.head:Head",
                "transport.head:parse_head",
                "transport.head:check_status",
                "transport.fields:head_fields",
                "transport.fields:decoded",
                "transport.fields:head_end",
                "transport.channel:Channel._read_head",
                "transport.receiver:Receiver.receive",
                "transport.ranges:judge_range",
                "transport.ranges:judge_whole",
                "transport.redirects:_onward",
            ),
            tokens="HTTP/1.1 206 200 100 302 416 503 Content-Length: Content-Range: bytes "
            "Transfer-Encoding: chunked identity gzip Content-Encoding: Set-Cookie: Location: "
            "Retry-After: Connection: close ETag: Last-Modified: \r\n\r\n ICY Link: Digest:",
            most=200 << 10,
        ),
        Harness(
            "chunked",
            _chunked,
            (RequestFailed,),
            ("transport.head:ChunkedBody",),
            tokens="0\r\n\r\n ;name=value ffffffff",
        ),
        Harness(
            "range",
            _range,
            (),
            ("server.ranges",),
            tokens="bytes= - , 999999999999999999",
            most=_SHORT,
        ),
        Harness(
            "content_range",
            _content_range,
            (RequestFailed,),
            ("transport.ranges:content_range", "transport.ranges:told_size"),
            tokens="bytes 10-19/100 */ = :",
            most=_SHORT,
        ),
        Harness(
            "disposition",
            _disposition,
            (),
            tuple(
                f"metalink.headers:{name}"
                for name in "offered_name _parts _parameters _unquoted _extended _continued _plain "
                "_decoded_word _harmless".split()
            ),
            tokens="attachment; filename= filename*= filename*0*= utf-8'' iso-8859-1'' =?utf-8?b? "
            '?= =?utf-8?q? %2f %00 \\" C:\\ ../',
            most=_SHORT,
        ),
        Harness(
            "link",
            _link,
            (),
            ("metalink.headers:links", "metalink.headers:_links"),
            tokens='<http:// > ; rel=duplicate rel=describedby type="application/metalink4+xml" '
            'pri=1 , \\" //[',
            most=_SHORT,
        ),
        Harness(
            "digest",
            _digest,
            (),
            ("metalink.headers:digests", "checksum:algorithm_of"),
            tokens="sha-256=: md5= sha= sha-512=: adler32= , ; ==",
            most=_SHORT,
        ),
        Harness(
            "cookies",
            _cookies,
            (RegatherError,),
            ("transport.cookies",),
            tokens="; Domain= a.example Path=/ Secure HttpOnly Max-Age= Expires= __Host- __Secure- "
            "# Netscape HTTP Cookie File #HttpOnly_ TRUE FALSE",
            most=_SHORT,
        ),
        Harness(
            "netrc",
            _netrc,
            (),
            ("transport.logins",),
            tokens='machine login user password account macdef default " \\" #',
            most=128 << 10,
        ),
        Harness(
            "config",
            _config,
            (RegatherError,),
            (
                "cli.conf.config_file:parse",
                "cli.conf.config_file:Config",
                "cli.conf.config_file:_lines_of",
                "cli.conf.host_tables",
                "cli.conf.trust_tables",
                "cli.conf.aliases:aliases_in",
                "cli.conf.defaults:defaults_for",
            ),
            tokens='[defaults] [get] [host."a.example"] [alias] [trust] token token-file trust '
            "header user connections = retries = true false [ ] \" ''' 1979-05-27",
        ),
        Harness(
            "size",
            _size,
            (RegatherError,),
            ("units:parse_size", "units:parse_rate"),
            tokens="KiB MB GB TiB PiB 1.5 /s e",
            most=_SHORT,
        ),
    )
}
