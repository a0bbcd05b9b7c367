"""Requests at random over raw sockets: whatever comes, the answer is one that HTTP permits.

No error of the server's own, no byte of another file, no body of another length than announced, no
connection that hangs. ``-m soak`` makes it long.
"""

from __future__ import annotations

import email
import email.policy
import json
import logging
import re
import select
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

import blake3
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import regather
from tests.server.process import HOST, TIMEOUT

CONTENT = bytes(range(256)) * 300
SECRET = b"what nobody may have"
TOKEN = "write-token"
BODY = b"new content"
_PATIENCE = 0.2
"""Seconds until a client gives up to whom the server waits for a body."""


class Surface:
    """A server in this process, and what it logs as its own errors."""

    def __init__(self, folder: Path, port: int, errors: list[str]) -> None:
        self.folder = folder
        self.port = port
        self.errors = errors
        self.answers = Counter[int]()
        """By status; 0 is a connection that closed without an answer."""


class _Errors(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture(scope="module")
def surface(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Surface]:
    folder = tmp_path_factory.mktemp("fuzzed")
    (folder / "secret").write_bytes(SECRET)
    root = folder / "hosted"
    (root / "sub").mkdir(parents=True)
    (root / "file.dat").write_bytes(CONTENT)
    (root / "empty.dat").write_bytes(b"")
    (root / "sub" / "page.html").write_bytes(b"<p>" * 1000)
    (root / "file.dat.regather.json").write_text(json.dumps({"size": len(CONTENT)}))
    (root / ".hidden").write_bytes(SECRET)
    (root / "out.dat").symlink_to(folder / "secret")
    stop, ports = threading.Event(), []
    listening = threading.Event()

    def told(_: str, port: int) -> None:
        ports.append(port)
        listening.set()

    server = threading.Thread(
        target=regather.serve,
        args=(root,),
        kwargs={
            "port": 0,
            "write_token": TOKEN,
            "max_total": 1 << 20,
            "on_listening": told,
            "stop": stop,
        },
    )
    handler = _Errors()
    loggers = [logging.getLogger(name) for name in ("regather", "asyncio", "aiohttp")]
    for logger in loggers:
        logger.addHandler(handler)
    server.start()
    try:
        assert listening.wait(TIMEOUT)
        yield Surface(root, ports[0], handler.lines)
    finally:
        stop.set()
        server.join(TIMEOUT)
        for logger in loggers:
            logger.removeHandler(handler)


NUMBERS = st.sampled_from([0, 1, 2, 255, 76_798, 76_799, 76_800, 76_801, 2**63, 10**40]).map(str)
SPECS = st.one_of(
    st.builds("{}-{}".format, NUMBERS, NUMBERS),
    st.builds("{}-".format, NUMBERS),
    st.builds("-{}".format, NUMBERS),
    st.sampled_from(["", "-", " ", "1", "a-b", "1-2-3", "-1-", " 0 - 1 "]),
)
RANGES = st.builds(
    "{}={}".format,
    st.sampled_from(["bytes", "bytes", "bytes", "Bytes", "lines", ""]),
    st.lists(SPECS, max_size=20).map(",".join),
)
TAGS = st.sampled_from(["*", '"x"', 'W/"x"', '"', "TAG", "W/TAG", '"x", TAG', "", ",,TAG,", "*,*"])
DATES = st.sampled_from(
    [
        *("Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "TIME", "yesterday"),
        *("Thursday, 01-Jan-70 00:00:00 GMT", "Thu Jan  1 00:00:00 1970", "0", ""),
    ]
)
RAW = st.binary(max_size=30).map(lambda raw: raw.decode("latin-1"))
HEADERS = st.one_of(
    st.tuples(st.just("Range"), RANGES),
    st.tuples(st.just("Range"), RANGES),
    st.tuples(st.sampled_from(["If-Match", "If-None-Match", "If-Range"]), TAGS),
    st.tuples(st.sampled_from(["If-Modified-Since", "If-Unmodified-Since", "If-Range"]), DATES),
    st.tuples(st.just("Accept"), st.sampled_from(["text/html", "*/*;q=0", "a;q=x", ";,;", "*"])),
    st.tuples(
        st.just("Authorization"), st.sampled_from([f"Bearer {TOKEN}", "Bearer x", "Basic %"])
    ),
    st.tuples(st.just("Regather-Blake3"), st.sampled_from(["HASH", "x", "0" * 64])),
    st.tuples(st.just("Content-Digest"), st.sampled_from(["sha-256=:x:", "sha-256=::", ":"])),
    st.tuples(st.just("Content-Length"), st.sampled_from(["0", "11", "1", "-1", "x", "9" * 30])),
    st.tuples(st.just("Transfer-Encoding"), st.sampled_from(["chunked", "gzip", "x, chunked"])),
    st.tuples(st.just("Expect"), st.sampled_from(["100-continue", "200-ok", ""])),
    st.tuples(st.just("Want-Repr-Digest"), st.sampled_from(["sha-256=1", "sha-256=0", ",", "x"])),
    st.tuples(st.just("Host"), st.sampled_from(["a", "[::1]:1", "a b", "a,b", ""])),
    st.tuples(st.just("Upgrade"), st.sampled_from(["websocket", "h2c"])),
    st.tuples(st.just("Connection"), st.sampled_from(["upgrade", "Range", "x"])),
    st.tuples(st.just("Content-Encoding"), st.sampled_from(["gzip", "identity", "x"])),
    st.tuples(st.sampled_from(["Range", "If-Range", "Accept", "Host", "X", "Cookie"]), RAW),
    st.tuples(RAW, RAW),
)
NAMES = st.sampled_from(
    [
        *("file.dat", "empty.dat", "sub", "sub/page.html", "", "new.dat", "made/new.dat", "-"),
        *("-/health", "-/ready", "-/metrics", "..", ".", ".hidden", "out.dat", "%2e%2e", "%2f"),
        *("secret", "file%2Edat", "%00", "%", "%ff", "file.dat.regather.json", "a" * 300),
    ]
)
QUERIES = st.sampled_from(["", "?", "?download", "?download=x&y", "#", "??", "?%", "?download#x"])
TARGETS = st.one_of(
    st.builds("/{}{}".format, NAMES, QUERIES),
    st.builds("/{}{}".format, NAMES, QUERIES),
    st.builds("/{}{}".format, st.lists(NAMES, max_size=4).map("/".join), QUERIES),
    st.builds("http://a/{}{}".format, NAMES, QUERIES),
    st.sampled_from(["*", "a:80", "", "/" * 9000, "file.dat", "http://", "http:///file.dat"]),
    RAW,
)
METHODS = st.sampled_from(
    ["GET"] * 6
    + ["HEAD"] * 2
    + ["PUT"] * 3
    + ["DELETE", "POST", "OPTIONS", "TRACE", "CONNECT", "X"]
)


class Request(NamedTuple):
    """A request as it is drawn; of the validators and the hash only the places stand in it."""

    method: str
    target: str
    version: str
    headers: list[tuple[str, str]]
    body: bytes

    def encoded(self, surface: Surface) -> bytes:
        status = (surface.folder / "file.dat").stat()
        tag = f'"{status.st_mtime_ns:x}-{status.st_size:x}"'
        digest = blake3.blake3(self.body).hexdigest()
        lines = [f"{self.method} {self.target} HTTP/{self.version}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        head = "\r\n".join((*lines, "Connection: close", "", ""))
        head = head.replace("TAG", tag).replace("HASH", digest)
        return head.encode("latin-1") + self.body


PLAIN = st.builds("{}-{}".format, st.integers(0, 40_000), st.integers(40_000, 80_000) | st.just(""))
PLAIN_RANGES = st.lists(PLAIN | st.integers(1, 99).map("-{}".format), min_size=1, max_size=18)
READING = st.builds(
    Request,
    st.just("GET"),
    st.sampled_from(["/file.dat", "/sub/page.html?download", "http://a/empty.dat", "/%66ile.dat"]),
    st.just("1.1"),
    st.tuples(PLAIN_RANGES.map(",".join), TAGS, st.sampled_from(["If-Range", "If-Match", "X"])).map(
        lambda drawn: [("Host", "a"), ("Range", f"bytes={drawn[0]}"), (drawn[2], drawn[1])]
    ),
    st.just(b""),
)
ANY = st.builds(
    Request,
    METHODS,
    TARGETS,
    st.sampled_from(["1.1"] * 8 + ["1.0", "2.0", "x"]),
    st.lists(HEADERS, max_size=6).map(lambda headers: [("Host", "a"), *headers]),
    st.sampled_from([b""] * 3 + [BODY, BODY, b"0\r\n\r\n", b"b\r\nnew content\r\n0\r\n\r\n"]),
)
REQUESTS = READING | ANY


class Response(NamedTuple):
    """An answer as it came."""

    status: int
    headers: email.message.Message
    body: bytes


def response_of(received: bytes) -> Response | None:
    """The final answer in what came; None for nothing."""
    while received:
        head, separator, received = received.partition(b"\r\n\r\n")
        assert separator, head
        line, _, lines = head.partition(b"\r\n")
        match = re.fullmatch(rb"HTTP/1\.[01] ([1-5]\d\d) [ -~]*", line)
        assert match is not None, line
        if int(match[1]) != 100:
            assert all(re.fullmatch(rb"[A-Za-z-]+: [ -~]*", x) for x in lines.split(b"\r\n")), lines
            headers = email.message_from_bytes(lines, policy=email.policy.HTTP)
            return Response(int(match[1]), headers, received)
    return None


def exchange(surface: Surface, request: Request) -> Response | None:
    """The answer to a request. One that declares a body may lack it: then the client gives up."""
    raw = request.encoded(surface)
    with socket.create_connection((HOST, surface.port), timeout=TIMEOUT) as connection:
        received = bytearray()
        try:
            connection.sendall(raw)
            may_wait = b"ength:" in raw or b"ncoding:" in raw
            if may_wait and not select.select([connection], [], [], _PATIENCE)[0]:
                connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(1 << 18):
                received += piece
        except ConnectionError:
            pass
    return response_of(bytes(received))


def check(surface: Surface, request: Request) -> None:
    """Send one request and look at all that can be wrong with its answer."""
    response = exchange(surface, request)
    assert surface.errors == []
    surface.answers[response.status if response else 0] += 1
    if response is None:
        return
    status, headers, body = response
    assert status < 500 or status in (505, 507), response
    assert SECRET not in body
    if status == 400 and headers["Content-Type"].startswith("text/plain"):
        return  # aiohttp's own, to what it could not read: it may be no HEAD at all
    if request.method == "HEAD" or status in (204, 304):
        assert body == b""
    else:
        assert len(body) == int(headers["Content-Length"])
    if headers["Content-Type"] == "application/problem+json" and body:
        assert json.loads(body)["status"] == status
    if status == 206:
        check_partial(surface, request, headers, body)
    elif status == 416:
        assert re.fullmatch(r"bytes \*/\d+", headers["Content-Range"])


def check_partial(
    surface: Surface, request: Request, headers: email.message.Message, body: bytes
) -> None:
    assert request.method == "GET"
    path = re.sub("^http://[^/]*", "", request.target).partition("?")[0].partition("#")[0]
    content = (surface.folder / unquote_to_bytes(path[1:]).decode()).read_bytes()
    parts: list[tuple[str, object]] = [(headers["Content-Range"], body)]
    if headers["Content-Type"].startswith("multipart/byteranges"):
        assert "Content-Range" not in headers
        head = f"Content-Type: {headers['Content-Type']}\r\n\r\n".encode()
        message = email.message_from_bytes(head + body)
        assert not message.defects
        parts = [
            (str(part["Content-Range"]), part.get_payload(decode=True))
            for part in message.walk()
            if not part.is_multipart()
        ]
        assert 2 <= len(parts) <= 16
    for content_range, received in parts:
        match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", content_range)
        assert match is not None
        first, last, size = map(int, match.groups())
        assert size == len(content)
        if len(parts) == 1:  # email changes the ends of lines in bytes
            assert received == content[first : last + 1]


@pytest.mark.parametrize(
    "examples", [200, pytest.param(20_000, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])]
)
def test_requests_at_random(examples: int, surface: Surface) -> None:
    surface.answers.clear()

    @settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
        derandomize=examples < 1000,
    )
    @given(REQUESTS)
    def run(request: Request) -> None:
        check(surface, request)

    run()
    print(dict(sorted(surface.answers.items())))
    whole = exchange(surface, Request("GET", "/file.dat", "1.1", [("Host", "a")], b""))
    assert whole is not None
    assert whole.body == CONTENT
    assert {200, 206, 400} <= surface.answers.keys()
    assert surface.answers[0] < examples / 10
