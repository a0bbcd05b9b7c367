"""Servers of one honest file that answer oddly: each a way that servers on the net were seen to.

``ODD`` has them by name; ``odd_server(name, content)`` runs one. Whatever the path is, it is that
file. Connections are kept, unless an answer is None or ends with the connection.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
_BLOCK = 64 << 10
LIMIT = 256 << 10
"""Bytes that those serve at a time who serve no more."""
_NODES = 3


@dataclass
class Ask:
    """One request, and what is known of those before it."""

    method: str
    path: str
    headers: Mapping[str, str]
    content: bytes
    number: int
    """How many came before, over all connections."""
    busy: int
    """How many are answered at this moment, this one included."""

    @property
    def query(self) -> str:
        """What stands behind the question mark."""
        return self.path.partition("?")[2]

    @property
    def span(self) -> tuple[int, int] | None:
        """First byte and end of the range that is asked for; None: the whole."""
        match = _RANGE.fullmatch(self.headers.get("range", ""))
        if match is None:
            return None
        stop = int(match[2]) + 1 if match[2] else len(self.content)
        return int(match[1]), min(stop, len(self.content))

    def head(self, status: str, headers: Mapping[str, object], body: bytes = b"") -> bytes:
        """An answer; without a length where the headers have none."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"HTTP/1.1 {status}\r\n{lines}\r\n".encode()
        return head if self.method == "HEAD" else head + body

    def refuse(self, status: str, **headers: object) -> bytes:
        """An answer without a body."""
        return self.head(status, {"Content-Length": 0, **headers})

    def whole(self, headers: Mapping[str, object] | None = None) -> bytes:
        """200 with all of it."""
        told = {"Content-Length": len(self.content), **(headers or {})}
        return self.head("200 OK", told, self.content)

    def part(
        self,
        start: int,
        stop: int,
        headers: Mapping[str, object] | None = None,
        told: str = "bytes {a}-{b}/{n}",
    ) -> bytes:
        """206 with some of it."""
        body = self.content[start:stop]
        spelled = told.format(a=start, b=stop - 1, n=len(self.content))
        given = {"Content-Range": spelled, "Content-Length": len(body), **(headers or {})}
        return self.head("206 Partial Content", given, body)

    def good(self, headers: Mapping[str, object] | None = None, told: str = "") -> bytes:
        """What an honest server answers."""
        span = self.span
        if span is None:
            return self.whole(headers)
        if span[0] >= len(self.content):
            return self.refuse(
                "416 Range Not Satisfiable",
                **{"Content-Range": f"bytes */{len(self.content)}"},
            )
        return self.part(*span, headers, told or "bytes {a}-{b}/{n}")


Answer = Callable[[Ask], bytes | None]
ODD: dict[str, Answer] = {}


def _odd(name: str) -> Callable[[Answer], Answer]:
    def add(answer: Answer) -> Answer:
        ODD[name] = answer
        return answer

    return add


# -- ranges -----------------------------------------------------------------------------------


@_odd("fewer bytes than asked for")
def _fewer(ask: Ask) -> bytes:
    return ask.part(ask.span[0], min(ask.span[1], ask.span[0] + LIMIT)) if ask.span else ask.good()


@_odd("more bytes than asked for, in blocks")
def _blocks(ask: Ask) -> bytes:
    if not ask.span:
        return ask.good()
    start, stop = ask.span[0] // _BLOCK * _BLOCK, -(-ask.span[1] // _BLOCK) * _BLOCK
    return ask.part(start, min(stop, len(ask.content)))


@_odd("206 with the whole file")
def _whole_as_part(ask: Ask) -> bytes:
    return ask.part(0, len(ask.content))


@_odd("ranges ignored")
def _ignored(ask: Ask) -> bytes:
    return ask.whole({"Accept-Ranges": "none"})


@_odd("total sent as *")
def _unknown_total(ask: Ask) -> bytes:
    return ask.good(told="bytes {a}-{b}/*")


for _told in ("bytes={a}-{b}/{n}", "bytes: {a}-{b}/{n}", "BYTES {a}-{b}/{n}", "{a}-{b}/{n}"):

    def _spelled(ask: Ask, told: str = _told) -> bytes:
        return ask.good(told=told)

    ODD[f"Content-Range: {_told.format(a=0, b=9, n=99)}"] = _spelled


@_odd("Content-Range without a total")
def _no_total(ask: Ask) -> bytes:
    return ask.good(told="bytes {a}-{b}")


@_odd("206 without Content-Range")
def _no_content_range(ask: Ask) -> bytes:
    if not ask.span:
        return ask.good()
    body = ask.content[slice(*ask.span)]
    return ask.head("206 Partial Content", {"Content-Length": len(body)}, body)


@_odd("200 with a part")
def _part_as_whole(ask: Ask) -> bytes:
    return ask.good().replace(b" 206 ", b" 200 ", 1)


@_odd("multipart/byteranges to one range")
def _multipart(ask: Ask) -> bytes:
    if not ask.span:
        return ask.good()
    start, stop = ask.span
    part = f"--B\r\nContent-Range: bytes {start}-{stop - 1}/{len(ask.content)}\r\n\r\n".encode()
    body = part + ask.content[start:stop] + b"\r\n--B--\r\n"
    told = {"Content-Type": "multipart/byteranges; boundary=B", "Content-Length": len(body)}
    return ask.head("206 Partial Content", told, body)


@_odd("ranges one byte off, and declared so")
def _shifted(ask: Ask) -> bytes:
    if not ask.span:
        return ask.good()
    return ask.part(ask.span[0] + 1, min(ask.span[1] + 1, len(ask.content)))


@_odd("ranges one byte short")
def _one_short(ask: Ask) -> bytes | None:
    if not ask.span:
        return ask.good()
    return ask.part(*ask.span, {"Content-Length": ask.span[1] - ask.span[0] - 1}) + b"CLOSE"


@_odd("the file's length with each range")
def _whole_length(ask: Ask) -> bytes:
    if not ask.span:
        return ask.good()
    return ask.part(*ask.span, {"Content-Length": len(ask.content)}) + b"CLOSE"


_TO_RANGES = "204 Nothing", "400 No", "401 No", "403 No", "404 No", "405 No", "416 No", "429 No"
for _status in (*_TO_RANGES, "500 Error", "503 Busy"):

    def _ranges_refused(ask: Ask, status: str = _status) -> bytes:
        return ask.refuse(status) if ask.span else ask.good()

    ODD[f"{_status[:3]} to any range"] = _ranges_refused


@_odd("an empty file to any range")
def _empty_to_ranges(ask: Ask) -> bytes:
    return ask.refuse("200 OK") if ask.span else ask.good()


@_odd("no answer to any range")
def _breaks_at_ranges(ask: Ask) -> bytes | None:
    return None if ask.span else ask.good()


@_odd("503 to large ranges")
def _busy_at_large(ask: Ask) -> bytes:
    large = not ask.span or ask.span[1] - ask.span[0] > LIMIT
    return ask.refuse("503 Busy") if large else ask.good()


@_odd("no answer to large ranges")
def _breaks_at_large(ask: Ask) -> bytes | None:
    large = not ask.span or ask.span[1] - ask.span[0] > LIMIT
    return None if large else ask.good()


@_odd("403 to large ranges")
def _large(ask: Ask) -> bytes:
    large = not ask.span or ask.span[1] - ask.span[0] > LIMIT
    return ask.refuse("403 Forbidden") if large else ask.good()


@_odd("416 to a range up to the last byte")
def _off_by_one(ask: Ask) -> bytes:
    if ask.span and ask.span[1] == len(ask.content):
        return ask.refuse("416 No")
    return ask.good()


@_odd("416 to a range over the end")
def _over_the_end(ask: Ask) -> bytes:
    match = _RANGE.fullmatch(ask.headers.get("range", ""))
    if match and match[2] and int(match[2]) >= len(ask.content):
        told = {"Content-Range": f"bytes */{len(ask.content)}"}
        return ask.refuse("416 Range Not Satisfiable", **told)
    return ask.good()


for _status in ("403 Forbidden", "429 Too Many", "503 Busy"):

    def _one_at_a_time(ask: Ask, status: str = _status) -> bytes:
        if ask.busy > 1:
            return ask.refuse(status)
        return ask.good()

    ODD[f"{_status[:3]} to a second request at a time"] = _one_at_a_time


@_odd("404 to every third request")
def _one_node_lacks_it(ask: Ask) -> bytes:
    return ask.refuse("404 Not Found") if ask.number % _NODES == _NODES - 1 else ask.good()


# -- tags -------------------------------------------------------------------------------------


@_odd("an ETag for each node")
def _tag_by_node(ask: Ask) -> bytes:
    return ask.good({"ETag": f'"node{ask.number % _NODES}"'})


@_odd("ETags now weak, now strong")
def _weak_or_strong(ask: Ask) -> bytes:
    return ask.good({"ETag": 'W/"1"' if ask.number % 2 else '"1"'})


@_odd("an ETag now and then")
def _tag_at_times(ask: Ask) -> bytes:
    date = {"Last-Modified": "Sat, 01 Jan 2022 00:00:00 GMT"}
    return ask.good(date if ask.number % 2 else {**date, "ETag": '"1"'})


@_odd("a date for each node")
def _date_by_node(ask: Ask) -> bytes:
    day = 1 + ask.number % _NODES
    return ask.good({"Last-Modified": f"Sat, {day:02} Jan 2022 00:00:00 GMT"})


@_odd("200 to any If-Range")
def _if_range(ask: Ask) -> bytes:
    tag = {"ETag": '"1"'}
    return ask.whole(tag) if "if-range" in ask.headers else ask.good(tag)


@_odd("412 to any If-Range")
def _if_range_refused(ask: Ask) -> bytes:
    if "if-range" in ask.headers:
        return ask.refuse("412 Precondition Failed")
    return ask.good({"ETag": '"1"'})


@_odd("a web page to any range")
def _page_to_ranges(ask: Ask) -> bytes:
    page = b"<html>too many"
    told = {"Content-Type": "text/html", "Content-Length": len(page)}
    return ask.head("200 OK", told, page) if ask.span else ask.good()


@_odd("304 to any If-Range")
def _not_modified(ask: Ask) -> bytes:
    if "if-range" in ask.headers:
        return ask.head("304 Not Modified", {})
    return ask.good({"ETag": '"1"'})


# -- lengths ----------------------------------------------------------------------------------


@_odd("chunked, without a length")
def _chunked(ask: Ask) -> bytes:
    steps = [ask.content[at : at + _BLOCK] for at in range(0, len(ask.content), _BLOCK)]
    body = b"".join(b"%x\r\n%b\r\n" % (len(step), step) for step in steps) + b"0\r\n\r\n"
    return ask.head("200 OK", {"Transfer-Encoding": "chunked"}, body)


@_odd("without a length, to the end of the connection")
def _until_closed(ask: Ask) -> bytes:
    return ask.head("200 OK", {"Connection": "close"}, ask.content) + b"CLOSE"


@_odd("a file that grows, with tags")
def _grows(ask: Ask) -> bytes:
    ask.content = ask.content[: len(ask.content) - 100_000 + 1000 * min(ask.number, 100)]
    return ask.good({"ETag": f'"{len(ask.content)}"'})


@_odd("a file that grows, without tags")
def _grows_untagged(ask: Ask) -> bytes:
    ask.content = ask.content[: len(ask.content) - 100_000 + 1000 * min(ask.number, 100)]
    return ask.good()


@_odd("no length in answer to HEAD")
def _head_without(ask: Ask) -> bytes:
    return ask.head("200 OK", {}) if ask.method == "HEAD" else ask.good()


@_odd("length 0 in answer to HEAD")
def _head_of_nothing(ask: Ask) -> bytes:
    return ask.refuse("200 OK") if ask.method == "HEAD" else ask.good()


@_odd("405 to HEAD")
def _no_head(ask: Ask) -> bytes:
    return ask.refuse("405 Not Allowed") if ask.method == "HEAD" else ask.good()


@_odd("the body of a range chunked")
def _chunked_range(ask: Ask) -> bytes:
    if not ask.span:
        return ask.good()
    start, stop = ask.span
    told = {
        "Content-Range": f"bytes {start}-{stop - 1}/{len(ask.content)}",
        "Transfer-Encoding": "chunked",
    }
    body = b"%x\r\n%b\r\n0\r\n\r\n" % (stop - start, ask.content[start:stop])
    return ask.head("206 Partial Content", told, body)


@_odd("chunked with bare LF, extensions and trailers")
def _odd_chunks(ask: Ask) -> bytes:
    steps = [ask.content[at : at + _BLOCK] for at in range(0, len(ask.content), _BLOCK)]
    body = b"".join(b"%x ; a=b \n%b\n" % (len(step), step) for step in steps) + b"0\nA: b\n\n"
    return ask.head("200 OK", {"Transfer-Encoding": "chunked, chunked"}, body)


@_odd("404 to HEAD")
def _head_missing(ask: Ask) -> bytes:
    return ask.refuse("404 Not Found") if ask.method == "HEAD" else ask.good()


@_odd("no answer to HEAD")
def _breaks_at_head(ask: Ask) -> bytes | None:
    return None if ask.method == "HEAD" else ask.good()


@_odd("HTTP/1.0, and the end of the connection as that of the body")
def _of_old(ask: Ask) -> bytes:
    old = ask.good({"Content-Length": ""}).replace(b"HTTP/1.1", b"HTTP/1.0", 1)
    return old.replace(b"Content-Length: \r\n", b"", 1) + b"CLOSE"


@_odd("a silent end of the connection after each answer")
def _silent_end(ask: Ask) -> bytes:
    return ask.good() + b"CLOSE"


@_odd("interim answers")
def _interim(ask: Ask) -> bytes:
    hints = b"HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\nLink: <x>\r\n\r\n"
    return b"HTTP/1.1 100 Continue\r\n\r\n" + hints + ask.good()


@_odd("two bytes more than the length declares")
def _excess(ask: Ask) -> bytes:
    return ask.good() + b"\r\n"


@_odd("a total that is one too many")
def _large_total(ask: Ask) -> bytes:
    return ask.good(told=f"bytes {{a}}-{{b}}/{len(ask.content) + 1}")


@_odd("a total of 0")
def _no_size(ask: Ask) -> bytes:
    return ask.good(told="bytes {a}-{b}/0")


@_odd("chunked, with a length that is not true")
def _chunked_lie(ask: Ask) -> bytes:
    body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(ask.content), ask.content)
    return ask.head("200 OK", {"Transfer-Encoding": "chunked", "Content-Length": 1000}, body)


# -- heads and redirects ----------------------------------------------------------------------


@_odd("203 to all")
def _transformed(ask: Ask) -> bytes:
    whole = ask.whole()
    return whole.replace(b" 200 OK", b" 203 Non-Authoritative Information", 1)


@_odd("201 to all")
def _created(ask: Ask) -> bytes:
    return ask.whole().replace(b" 200 OK", b" 201 Created", 1)


@_odd("400 to headers that it does not know")
def _unknown_headers(ask: Ask) -> bytes:
    known = {"host", "user-agent", "accept", "accept-encoding", "range", "if-range"}
    return ask.good() if known >= ask.headers.keys() else ask.refuse("400 Bad Request")


@_odd("typed text/html")
def _html(ask: Ask) -> bytes:
    return ask.good({"Content-Type": "text/html; charset=utf-8"})


@_odd("typed text/html, as an attachment")
def _attachment(ask: Ask) -> bytes:
    told = {"Content-Type": "Text/HTML", "Content-Disposition": "attachment; filename=file.bin"}
    return ask.good(told)


for _coding in ("none", "binary", "utf-8"):

    def _coded(ask: Ask, coding: str = _coding) -> bytes:
        return ask.good({"Content-Encoding": coding})

    ODD[f"Content-Encoding: {_coding}"] = _coded


@_odd("heads with bare LF")
def _bare_lf(ask: Ask) -> bytes:
    head, _, body = ask.good().partition(b"\r\n\r\n")
    return head.replace(b"\r\n", b"\n") + b"\n\n" + body


@_odd("ten redirects")
def _ten_redirects(ask: Ask) -> bytes:
    done = int(ask.query or 0)
    if done == 10:
        return ask.good()
    return ask.refuse("302 Found", Location=f"{ask.path.partition('?')[0]}?{done + 1}")


@_odd("a redirect that sets a cookie, and needs it")
def _cookie(ask: Ask) -> bytes:
    if "pass=1" in ask.headers.get("cookie", ""):
        return ask.good()
    return ask.refuse("302 Found", **{"Location": ask.path, "Set-Cookie": "pass=1; Path=/"})


@_odd("an empty Location")
def _empty_location(ask: Ask) -> bytes:
    return ask.refuse("302 Found", Location="") if ask.number % 2 == 0 else ask.good()


@_odd("a login in Location, and a fragment")
def _login_in_location(ask: Ask) -> bytes:
    if ask.query:
        return ask.good()
    place = f"http://me:secret@{ask.headers['host']}{ask.path}?1#top"
    return ask.refuse("302 Found", Location=place)


@_odd("raw UTF-8 in Location")
def _raw_location(ask: Ask) -> bytes:
    if ask.query:
        return ask.good()
    return ask.refuse("302 Found", Location="/f\u00fcr/\u00e4.bin?1")


# -- running them -----------------------------------------------------------------------------


@dataclass
class OddServer:
    """One of them, running."""

    answer: Answer
    content: bytes
    url: str = ""
    asks: list[Ask] = field(default_factory=list)
    _busy: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def serve(self, connection: socket.socket) -> None:
        """Answer the requests of one connection."""
        with connection, contextlib.suppress(OSError):
            received = b""
            while True:
                while b"\r\n\r\n" not in received:
                    more = connection.recv(65536)
                    if not more or more.startswith(b"\x16"):  # the end, or TLS
                        return
                    received += more
                head, _, received = received.partition(b"\r\n\r\n")
                if not self._answer(head, connection):
                    return

    def _answer(self, head: bytes, connection: socket.socket) -> bool:
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ", 2)
        headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in lines)}
        with self._lock:
            self._busy += 1
            ask = Ask(method, path, headers, self.content, len(self.asks), self._busy)
            self.asks.append(ask)
        try:
            answer = self.answer(ask)
            if answer is None:
                return False
            ends = answer.endswith(b"CLOSE")
            connection.sendall(answer.removesuffix(b"CLOSE"))
            return not ends
        finally:
            with self._lock:
                self._busy -= 1


@contextmanager
def odd_server(name: str, content: bytes) -> Iterator[OddServer]:
    """Run the server of that name on a free port of loopback."""
    server = OddServer(ODD[name], content)
    listener = socket.create_server(("127.0.0.1", 0))
    server.url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    threads: list[threading.Thread] = []
    connections: list[socket.socket] = []

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connections.append(connection)
                threads.append(threading.Thread(target=server.serve, args=(connection,)))
                threads[-1].start()

    threads.append(threading.Thread(target=accept))
    threads[0].start()
    try:
        yield server
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        threads[0].join(60)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(60)
