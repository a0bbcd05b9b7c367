"""What an answer is of, by what its server says: the file that was asked for, or something else."""

from __future__ import annotations

from urllib.parse import urlsplit

from regather.transport.base import Failure, Look, RequestFailed, SizeUnknown
from regather.transport.fields import coding_of, is_binary
from regather.transport.head import Head
from regather.transport.ranges import total_of
from regather.transport.redirects import shown
from regather.units import MAX_SIZE

__all__ = ["check_coding", "doubt_of", "look_of", "size_of"]

_PAGE_NAMES = (".html", ".htm", ".xhtml")
_CODED = "the server sends it with Content-Encoding {}, although it was declined"


def look_of(
    head: Head,
    hops: list[tuple[str, Head]],
    size: int | None,
    start: bytes,
    *,
    ranged: bool,
    doubt: str = "",
) -> Look:
    """What was learned of an object; ``hops`` are all heads with their URLs."""
    date = head.headers.get("last-modified", "")
    heads = tuple((where, hop.headers) for where, hop in hops)
    return Look(size, head.validator, start, ranged, date, heads, doubt)


def size_of(head: Head, target: str, url: str) -> int | None:
    """Bytes of the object that a head is of, None: not told. Raises RequestFailed."""
    size = total_of(head)
    if size is not None and size > MAX_SIZE:
        raise SizeUnknown(shown(target, url))
    return size


def check_coding(head: Head, target: str, url: str, size: int | None) -> None:
    """Raise RequestFailed where a coded form of an object follows, and not the object.

    A coded form would not have the object's size: where that is told, the coding is not true.
    """
    coding = coding_of(head.headers.get("content-encoding", ""), *_paths(target, url))
    if coding and size is not None and size != total_of(head):
        where = shown(target, url)
        raise RequestFailed(Failure.BAD_RESPONSE, f"{where}: {_CODED.format(coding)}")


def doubt_of(head: Head, target: str, url: str, start: bytes = b"") -> str:
    """Why an answer may not be the file that was asked for, by its head and its first bytes."""
    paths = _paths(target, url)
    named = any(path.lower().endswith(_PAGE_NAMES) for path in paths)
    if head.page and not named and not is_binary(start):
        return "sent a web page, not a file"
    if head.status == 203:  # RFC 9110, 15.3.4
        return "the server reports that it was modified in transit"
    if head.status not in (200, 206):
        return f"HTTP {head.status} is not the status of a file"
    coding = coding_of(head.headers.get("content-encoding", ""), *paths)
    return _CODED.format(coding) if coding else ""


def _paths(target: str, url: str) -> tuple[str, str]:
    return urlsplit(target).path, urlsplit(url).path
