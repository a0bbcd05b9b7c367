"""What the answer to a request for some content consists of: head, and body as segments."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from aiohttp import hdrs, web

from regather.server.content import Content
from regather.server.media_types import content_headers
from regather.server.preconditions import Preconditions, range_applies
from regather.server.problem import problem
from regather.server.ranges import ByteRange, UnsatisfiableRange, parse_ranges

Segment = bytes | ByteRange
"""Bytes of their own, or a range of the content."""
_DIGEST = "Repr-Digest"
WANTED_DIGEST = "Want-Repr-Digest"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that has not begun."""

    status: int
    headers: dict[str, str]
    length: int
    """Bytes of the body: to HEAD, of the body that is not sent."""
    segments: tuple[Segment, ...]
    """The body."""

    @property
    def first(self) -> ByteRange | None:
        """The range of the content that is sent first."""
        return next((part for part in self.segments if isinstance(part, ByteRange)), None)

    def cut(self, start: int, stop: int) -> Iterator[Segment]:
        """Bytes ``start`` up to, but not including, ``stop`` of the body."""
        for segment in self.segments:
            length = length_of(segment)
            first, last = max(start, 0), min(stop, length)
            if first < last:
                yield part_of(segment, first, last)
            start, stop = start - length, stop - length


def length_of(segment: Segment) -> int:
    """Bytes of a segment."""
    return len(segment) if isinstance(segment, bytes) else segment.stop - segment.start


def part_of(segment: Segment, start: int, stop: int) -> Segment:
    """Bytes ``start`` up to, but not including, ``stop`` of a segment."""
    if isinstance(segment, bytes):
        return segment[start:stop]
    return ByteRange(segment.start + start, segment.start + stop)


def reply_to(request: web.BaseRequest, content: Content) -> web.Response | Reply:
    """Evaluate conditions and ranges of a GET or HEAD: the reply, or a final answer in its place.

    Every HEAD is answered for the whole content (RFC 9110 14.2).
    """
    version, size = content.version, content.size
    about = {**version.validators, hdrs.ACCEPT_RANGES: "bytes", **content.headers}
    match Preconditions.of(request.headers).for_reading(version):
        case 304:
            return web.Response(status=304, headers=about)
        case 412:
            return problem(request, 412, "the file has changed", headers=about)
    is_head = request.method == hdrs.METH_HEAD
    spans = None
    if not is_head and range_applies(request.headers.getall(hdrs.IF_RANGE, ()), version):
        try:
            spans = parse_ranges(request.headers.getall(hdrs.RANGE, ()), size)
        except UnsatisfiableRange:
            headers = {hdrs.CONTENT_RANGE: f"bytes */{size}", **about}
            return problem(request, 416, "range not satisfiable", headers=headers, size=size)
    what = content_headers(content.name, download=_wants_download(request))
    headers = {**about, **what}
    if content.sha256 and _wants_digest(request):
        encoded = base64.b64encode(bytes.fromhex(content.sha256)).decode()
        headers[_DIGEST] = f"sha-256=:{encoded}:"
    if spans is None:
        whole = () if is_head or not size else (ByteRange(0, size),)
        return Reply(200, headers, size, whole)
    if len(spans) == 1:
        headers[hdrs.CONTENT_RANGE] = _content_range(spans[0], size)
        return Reply(206, headers, length_of(spans[0]), tuple(spans))
    boundary = secrets.token_hex(16)
    segments = tuple(_multipart(spans, size, what[hdrs.CONTENT_TYPE], boundary))
    headers[hdrs.CONTENT_TYPE] = f"multipart/byteranges; boundary={boundary}"
    return Reply(206, headers, sum(map(length_of, segments)), segments)


def _multipart(
    spans: Sequence[ByteRange], size: int, kind: str, boundary: str
) -> Iterator[Segment]:
    line = f"--{boundary}\r\n"
    for span in spans:
        yield (
            f"{line}{hdrs.CONTENT_TYPE}: {kind}\r\n"
            f"{hdrs.CONTENT_RANGE}: {_content_range(span, size)}\r\n\r\n"
        ).encode()
        yield span
        line = f"\r\n--{boundary}\r\n"
    yield f"\r\n--{boundary}--\r\n".encode()


def _content_range(span: ByteRange, size: int) -> str:
    return f"bytes {span.start}-{span.stop - 1}/{size}"


def _wants_download(request: web.BaseRequest) -> bool:
    """Whether the query asks for a file to keep, rather than one to show: ``?download``."""
    words = request.raw_path.partition("?")[2].partition("#")[0].split("&")
    return any(word.partition("=")[0] == "download" for word in words)


def _wants_digest(request: web.BaseRequest) -> bool:
    """Whether sha-256 is acceptable: a preference of 0, and only that, refuses it (RFC 9530)."""
    wanted = ",".join(request.headers.getall(WANTED_DIGEST, ())).split(",")
    return "sha-256=0" not in (word.strip(" \t") for word in wanted)
