"""Heads that are odd and do no harm, over both of our ways of speaking HTTP."""

from __future__ import annotations

import functools
import gzip
import tracemalloc

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regather.transport import Failure, HttpConnection, Look, RequestFailed, TransportOptions
from regather.transport.fields import coding_of, decoded, head_end, head_fields, media_type
from regather.transport.head import ChunkedBody, head_bytes, parse_head
from tests.support.rogue import Rogue, sends

PAGE = b"<!DOCTYPE html><html>log in</html>"
BINARY = bytes(range(256))


@pytest.fixture(params=["sockets", "libcurl"])
def options(request: pytest.FixtureRequest) -> TransportOptions:
    return TransportOptions(connect_timeout=5, timeout=5, http2=request.param == "libcurl")


def look(answer: bytes, options: TransportOptions, name: str = "f") -> Look:
    with Rogue(sends(answer)) as rogue:
        connection = HttpConnection(options)
        try:
            return connection.look(rogue.url + name, 1000)
        finally:
            connection.close()


# RFC 9112, 2.2, 3 and 5; RFC 9110, 5.5. libcurl takes all of these but STRICT.
STRICT = (
    *("two blanks", "a line that is no field", "a plus", "a unit", "an empty line first", "ICY"),
)
HEADS = {
    "bare line feeds": b"HTTP/1.1 200 OK\nContent-Length: 3\nETag: x\n\nabc",
    "some": b"HTTP/1.1 200 OK\r\nContent-Length: 3\nETag: x\n\r\nabc",
    "no reason": b"HTTP/1.1 200\r\nContent-Length: 3\r\nETag: x\r\n\r\nabc",
    "two blanks": b"HTTP/1.1  200  OK\r\nContent-Length: 3\r\nETag: x\r\n\r\nabc",
    "a reason beyond ASCII": b"HTTP/1.1 200 \xff\x01\r\nContent-Length: 3\r\nETag: x\r\n\r\nabc",
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\nETag: x\r\n\r\nabc",
    "a line that is no field": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nWarning\r\n: x\r\nA B: c\r\nETag: x\r\n\r\nabc"
    ),
    "a folded line": b"HTTP/1.1 200 OK\r\nContent-Length:\r\n 3\r\nETag:\r\n\t x\r\n\r\nabc",
    "no blank": b"HTTP/1.1 200 OK\r\nContent-Length:3\r\nETag:x\r\n\r\nabc",
    "blanks around": b"HTTP/1.1 200 OK\r\nContent-Length:  3 \t\r\nETag:\tx  \r\n\r\nabc",
    "a blank before the colon": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nETag : x\r\n\r\nabc",
    "case": b"HTTP/1.1 200 OK\r\ncontent-LENGTH: 3\r\netag: x\r\n\r\nabc",
    "twice the same": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length:3\r\nETag: x\r\nETag: x\r\n\r\nabc"
    ),
    "the length in a list": b"HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\nETag: x\r\n\r\nabc",
    "zeros": b"HTTP/1.1 200 OK\r\nContent-Length: 0003\r\nETag: x\r\n\r\nabc",
    "a plus": b"HTTP/1.1 200 OK\r\nContent-Length: +3\r\nETag: x\r\n\r\nabc",
    "a unit": b"HTTP/1.1 200 OK\r\nContent-Length: 3 bytes\r\nETag: x\r\n\r\nabc",
    "an empty line first": b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\nETag: x\r\n\r\nabc",
    "ICY": b"ICY 200 OK\r\nContent-Length: 3\r\nETag: x\r\n\r\nabc",
    "lower case": b"http/1.1 200 ok\r\nContent-Length: 3\r\nETag: x\r\n\r\nabc",
    "no coding of a transfer": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Identity\r\nContent-Length: 3\r\nETag: x\r\n\r\nabc"
    ),
}


@pytest.mark.parametrize("kind", HEADS)
def test_harmless(options: TransportOptions, kind: str) -> None:
    if options.http2 and kind in STRICT:
        with pytest.raises(RequestFailed):
            look(HEADS[kind], options)
        return
    seen = look(HEADS[kind], options)
    assert (seen.size, seen.start, seen.validator) == (3, b"abc", "x")


@pytest.mark.parametrize(
    ("greeting", "shown"),
    [
        (b"SSH-2.0-OpenSSH_9.9\r\n", "it begins with 'SSH-2.0-OpenSSH_9.9'"),
        (b"220 mail.example ESMTP\r\n", "it begins with '220 mail.example ESMTP'"),
        (b"\0\0\x12\4\0\0\0\0\0", "the response is not HTTP"),
        (b"HTTP/2.0 none\r\n\r\n", "it begins with 'HTTP/2.0 none'"),
    ],
)
def test_other_protocols(options: TransportOptions, greeting: bytes, shown: str) -> None:
    """Asked again, they say the same."""
    with pytest.raises(RequestFailed) as caught:
        look(greeting, options)
    assert caught.value.failure is Failure.BAD_RESPONSE
    if not options.http2:
        assert str(caught.value).endswith(shown)


@pytest.mark.parametrize(
    "length", [b"-3", b"", b"x", b"9" * 30, b"3\r\nContent-Length: 4", b"3, 4"]
)
def test_a_length_that_is_none(length: bytes) -> None:
    head = parse_head(b"HTTP/1.1 200 OK\r\nContent-Length: " + length + b"\r\n\r\n")
    assert head is not None
    assert head.length is None


# RFC 9112, 7.1; blanks as in its erratum and in servers of old, line ends as in 2.2.
CHUNKS = {
    "as it should be": b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
    "extensions": b'3;a="b;"\r\nabc\r\n2 ; c=d\r\nde\r\n0;e\r\n\r\n',
    "blanks": b"3  \r\nabc\r\n 2\t\r\nde\r\n0 \r\n\r\n",
    "zeros": b"0003\r\nabc\r\n02\r\nde\r\n000\r\n\r\n",
    "bare line feeds": b"3\nabc\n2\nde\n0\n\n",
    "some": b"3\nabc\r\n2\r\nde\n0\n\r\n",
    "trailers": b"3\r\nabc\r\n2\r\nde\r\n0\r\nA: b\r\n\r\n",
    "what are no trailers": b"3\r\nabc\r\n2\r\nde\r\n0\r\nno field\r\n",
    "no last line": b"3\r\nabc\r\n2\r\nde\r\n0\r\n",
}


@pytest.mark.parametrize("kind", CHUNKS)
def test_chunks(kind: str) -> None:
    data = CHUNKS[kind]
    for step in (1, 2, 3, 5, len(data)):
        parts = iter([data[at : at + step] for at in range(0, len(data), step)])
        body = ChunkedBody(b"")
        read = functools.partial(body.read, functools.partial(next, parts))
        assert b"".join(iter(read, b"")) == b"abcde"
        assert read() == b""


@pytest.mark.parametrize(
    "data", [b"x\r\n", b"\r\n", b"-1\r\n", b"3 3\r\n", b"1" * 16, b"1" * 99_999, b"1\r\nab\r\n"]
)
def test_what_are_no_chunks(data: bytes) -> None:
    def more() -> bytes:
        raise RequestFailed(Failure.TRUNCATED, "it ends")

    body = ChunkedBody(data)
    with pytest.raises(RequestFailed) as caught:
        b"".join(iter(lambda: body.read(more), b""))
    assert caught.value.failure is Failure.TRUNCATED


@pytest.mark.parametrize(
    ("lines", "coded"),
    [
        (b"Transfer-Encoding: chunked, Chunked\r\n", True),
        (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", True),
        (b"Transfer-Encoding: identity, chunked;q=1\r\n", True),
        (b"Transfer-Encoding: identity\r\nTransfer-Encoding:\r\n", False),
    ],
)
def test_codings_of_a_transfer(lines: bytes, coded: bool) -> None:
    head = parse_head(b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n")
    assert head is not None
    assert head.chunked == coded


@pytest.mark.parametrize("first", [b"HTTP/2 200", b"HTTP/2.0 200 OK", b"HTTP/1.2 200 OK"])
def test_whatever_version_is_named(first: bytes) -> None:
    head = parse_head(first + b"\r\nContent-Length: 3\r\n\r\n")
    assert head is not None
    assert (head.status, head.length, head.keep_alive) == (200, 3, True)


def test_control_characters() -> None:
    head = parse_head(b"HTTP/1.1 200 OK\nA: \x00b\x01\x7f\nB:\x0b\x0c\nC:\xff\r\n\n")
    assert head is not None
    assert head.headers == {"a": "b", "b": "", "c": "\xff"}


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc",
        b"HTTP/1.1 20 OK\r\nContent-Length: 3\r\n\r\nabc",
    ],
)
def test_harmful(options: TransportOptions, answer: bytes) -> None:
    with pytest.raises(RequestFailed) as caught:
        look(answer, options)
    assert caught.value.failure in (Failure.BAD_RESPONSE, Failure.SERVER_ERROR, Failure.RESET)


@pytest.mark.parametrize("first", [b"HTTP/1.1 099 OK", b"HTTP/1.1 20 OK", b"HTTP/1.1 2000"])
def test_a_status_that_is_none(first: bytes) -> None:
    with pytest.raises(RequestFailed, match=r"not HTTP: it begins with 'HTTP/1\.1 "):
        parse_head(first + b"\r\n\r\n")


@given(
    status=st.integers(200, 599),
    version=st.sampled_from(["1.0", "1.1"]),
    fields=st.lists(
        st.tuples(
            st.from_regex(r"[!#$%&'*+.^_`|~0-9a-zA-Z-]{1,9}", fullmatch=True),
            st.text(
                st.characters(min_codepoint=32, max_codepoint=255, exclude_categories=["Cc"])
            ).map(lambda text: text.strip(" ")),
        ),
        max_size=9,
    ),
)
def test_a_head_of_the_rfc_is_read_as_h11_reads_it(
    status: int, version: str, fields: list[tuple[str, str]]
) -> None:
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
    data = f"HTTP/{version} {status} Well\r\n{lines}\r\n".encode("latin-1")
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    event = connection.next_event()
    assert isinstance(event, h11.Response)
    read = head_fields(data)
    assert read is not None
    assert (read.status, read.modern) == (event.status_code, event.http_version == b"1.1")
    assert [(n.encode(), v.encode("latin-1")) for n, v in read.fields] == list(event.headers)


def test_a_request_is_written_as_h11_writes_it() -> None:
    headers = [("Host", "a.example:81"), ("Range", "bytes=0-9"), ("X-Odd", "\xe9 \t~")]
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    expected = h11.Connection(h11.CLIENT).send(
        h11.Request(method="PUT", target="/a%20b?c=d", headers=raw)
    )
    assert head_bytes("PUT", "/a%20b?c=d", headers) == expected


@pytest.mark.parametrize(
    ("method", "target", "name", "value"),
    [
        ("GET", "/", "A", "b\r\nC: d"),
        ("GET", "/", "A", "b\nC: d"),
        ("GET", "/", "A", "\0"),
        ("GET", "/", "A", "\u20ac"),
        ("GET", "/", "A: b\r\nC", "d"),
        ("GET", "/", "A B", "c"),
        ("GET", "/", "", "c"),
        ("GET", "/a b", "A", "b"),
        ("GET", "/\r\nA: b", "A", "b"),
        ("GET", "/\xe9", "A", "b"),
        ("GET", "", "A", "b"),
        ("GET /", "/", "A", "b"),
    ],
)
def test_no_request_can_smuggle_a_line(method: str, target: str, name: str, value: str) -> None:
    with pytest.raises(ValueError, match="not to be sent"):
        head_bytes(method, target, [(name, value)])


def test_values_have_no_blanks_around_them_and_no_control_characters() -> None:
    for line in (b"a:" + b" " * 60_000 + b"\x00", b"a:" + b" b" * 30_000 + b"\x0c"):
        head = parse_head(b"HTTP/1.1 200 OK\r\n" + line + b"\r\n\r\n")
        assert head is not None
        value = head.headers["a"]
        assert value == value.strip()
        assert not set(value.encode("latin-1")) & set(range(32))


def test_the_end_of_a_head_is_looked_for_once() -> None:
    data = b"HTTP/1.1 200 OK\r\na: b\r\n\r\nbody\n\n"
    end = data.index(b"body")
    assert head_end(data) == end
    assert [head_end(data[:n], max(n - 1, 0)) for n in range(end)] == [-1] * end
    assert head_end(data[:end], end - 1) == end
    assert head_end(b"\n\n" + b"a" * 100, 50) == -1  # before where it looks


# -- what it is a file of ---------------------------------------------------------------------


def typed(kind: bytes, content: bytes, *lines: bytes) -> bytes:
    more = b"".join(b"\r\n" + line for line in lines)
    return b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d%b\r\n\r\n%b" % (
        kind, len(content), more, content,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "name", "page"),
    [
        (typed(b"text/html", PAGE), "disk.iso", True),
        (typed(b"Text/HTML; charset=utf-8", PAGE), "disk.iso", True),
        (typed(b" TEXT/html ;x", PAGE), "disk.iso", True),
        (typed(b"text/html", PAGE, b"Content-Type: text/plain"), "disk.iso", True),
        (typed(b"application/XHTML+xml", PAGE), "disk.iso", True),
        (typed(b"text/html", PAGE, b"Content-Disposition: inline; filename=a"), "a.iso", True),
        (typed(b"text/html", b""), "disk.iso", True),
        (typed(b"text/htmlx", PAGE), "disk.iso", False),
        (typed(b"text/plain", PAGE), "disk.iso", False),
        (typed(b"text/html", PAGE), "index.HTML", False),
        (typed(b"text/html", PAGE), "a.xhtml?x", False),
        (typed(b"text/html", BINARY), "disk.iso", False),
        (typed(b"text/html", PAGE, b"Content-Disposition: Attachment;filename=x"), "get", False),
    ],
)
def test_web_pages(options: TransportOptions, answer: bytes, name: str, page: bool) -> None:
    assert bool(look(answer, options, name).doubt) == page


@pytest.mark.parametrize(
    ("coding", "name", "meant"),
    [
        ("identity", "f", ""),
        ("", "f", ""),
        ("utf-8", "f", ""),
        ("UTF-8, binary", "f", ""),
        ("none", "f", ""),
        ("aws-chunked", "f", ""),
        ("8bit", "f", ""),
        ("gzip", "/f.bin", "gzip"),
        ("X-GZip", "/f.bin", "gzip"),
        ("aws-chunked, gzip", "/f.bin", "gzip"),
        ("br", "/f.gz", "br"),
        ("zstd", "/f", "zstd"),
        ("deflate", "/f", "deflate"),
        ("gzip", "/f.tar.gz", ""),
        ("x-gzip", "/F.TGZ", ""),
        ("bzip2", "/f.tar.bz2", ""),
        ("br", "/f.br", ""),
        ("gzip, gzip", "/f.gz", "gzip, gzip"),
    ],
)
def test_codings(coding: str, name: str, meant: str) -> None:
    assert coding_of(coding, "/x", name) == meant


def test_a_type() -> None:
    assert [media_type(t) for t in ("Text/HTML;a=b", " a/b ", "")] == ["text/html", "a/b", ""]


@pytest.mark.parametrize(
    ("sent", "coding", "limit", "got"),
    [
        (gzip.compress(b'{"a": 1}', mtime=0), b"gzip", 100, b'{"a": 1}'),
        (gzip.compress(b'{"a": 1}', mtime=0), b"x-GZIP", 100, b'{"a": 1}'),
        (b'{"a": 1}', b"gzip", 100, b'{"a": 1}'),
        (b" <metalink>", b"deflate", 100, b" <metalink>"),
        (b"[1]", b"utf-8", 100, b"[1]"),
        (gzip.compress(bytes(5000), mtime=0), b"gzip", 4999, None),
        (b"[1]", b"gzip", 100, None),
        (b"[1]", b"br", 100, None),
    ],
)
def test_small_documents_that_are_coded(
    options: TransportOptions, sent: bytes, coding: bytes, limit: int, got: bytes | None
) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nContent-Encoding: %b\r\n\r\n%b" % (
        len(sent), coding, sent,
    )  # fmt: skip
    with Rogue(sends(answer)) as rogue:
        connection = HttpConnection(options)
        try:
            if got is not None:
                assert connection.fetch(rogue.url + "f", limit)[0] == got
            else:
                with pytest.raises(RequestFailed):
                    connection.fetch(rogue.url + "f", limit)
        finally:
            connection.close()


def test_a_small_document_is_not_unpacked_beyond_its_limit() -> None:
    packed = gzip.compress(bytes(64 << 20), mtime=0)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="larger than"):
            decoded(packed, "gzip", 1000)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
