"""What a request makes its method depend on (RFC 9110 section 13), for reading and for writing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import formatdate
from typing import Protocol, Self

from regather.server.dates import parse_http_date

_LATEST = 253402300799
"""The last second, since 1970, that an HTTP date can express."""
_ELEMENT = re.compile(r'[ \t,]*+(?:(?P<weak>W/)?"(?P<tag>[^"]*+)"|(?P<star>\*))[ \t]*+(?=,|$)')
_REST = re.compile(r"[ \t,]*+$")


class HeaderLines(Protocol):
    """The headers of a request, of which a name may stand in several lines."""

    def getall(self, name: str, default: Sequence[str], /) -> Sequence[str]:
        """All lines of a name, in order."""


class UnreadableCondition(Exception):
    """A condition for writing that cannot be read: to go on might destroy what it protects."""


@dataclass(frozen=True, slots=True)
class Version:
    """What tells one state of a file from another."""

    modified_ns: int | None
    """None: unknown."""
    size: int
    """Bytes."""
    content_tag: str = ""
    """An entity tag that was made of the content."""

    @property
    def tag(self) -> str:
        """The entity tag, without its quotes: equal for copies that kept their time."""
        return self.content_tag or f"{self.modified_ns or 0:x}-{self.size:x}"

    @property
    def modified(self) -> int | None:
        """Whole seconds since 1970, within what HTTP can say."""
        if self.modified_ns is None:
            return None
        return min(max(self.modified_ns // 10**9, 0), _LATEST)

    @property
    def validators(self) -> dict[str, str]:
        """The headers that name this version."""
        headers = {"ETag": f'"{self.tag}"'}
        if self.modified is not None:
            headers["Last-Modified"] = formatdate(self.modified, usegmt=True)
        return headers

    def changed_since(self, date: int) -> bool | None:
        """Whether it was modified after a date; None where that is unknown."""
        return None if self.modified is None else self.modified > date


@dataclass(frozen=True, slots=True)
class _Tags:
    """The value of If-Match or If-None-Match, all its lines together."""

    star: bool = False
    strong: frozenset[str] = frozenset()
    weak: frozenset[str] = frozenset()
    readable: bool = True

    @classmethod
    def of(cls, lines: Sequence[str]) -> Self | None:
        """Read them; None for no line. After what is no tag nothing more counts."""
        if not lines:
            return None
        text, at = ",".join(lines), 0
        found: list[tuple[bool, bool, str]] = []
        while match := _ELEMENT.match(text, at):
            found.append((match["star"] is not None, match["weak"] is not None, match["tag"]))
            at = match.end()
        star = any(is_star for is_star, *_ in found)
        tags = [(weak, tag) for is_star, weak, tag in found if not is_star]
        return cls(
            star and not tags,
            frozenset(tag for weak, tag in tags if not weak),
            frozenset(tag for weak, tag in tags if weak),
            # The star stands alone or not at all.
            readable=_REST.match(text, at) is not None and not (star and tags),
        )

    def match(self, version: Version | None, *, weakly: bool) -> bool:
        """Whether they name this version of the file, which is None where there is no file."""
        if version is None:
            return False
        return self.star or version.tag in self.strong or (weakly and version.tag in self.weak)


@dataclass(frozen=True, slots=True)
class Preconditions:
    """All conditions of one request but If-Range; None for what it does not demand."""

    if_match: _Tags | None = None
    if_unmodified_since: int | None = None
    if_none_match: _Tags | None = None
    if_modified_since: int | None = None

    @classmethod
    def of(cls, headers: HeaderLines) -> Self:
        """Read them. A date that is none, or one of several, is ignored (13.1.3, 13.1.4)."""

        def date(name: str) -> int | None:
            lines = headers.getall(name, ())
            return parse_http_date(lines[0]) if len(lines) == 1 else None

        return cls(
            _Tags.of(headers.getall("If-Match", ())),
            date("If-Unmodified-Since"),
            _Tags.of(headers.getall("If-None-Match", ())),
            date("If-Modified-Since"),
        )

    @property
    def new_only(self) -> bool:
        """Whether nothing may be replaced: ``If-None-Match: *``."""
        return self.if_none_match is not None and self.if_none_match.star

    def for_reading(self, version: Version) -> int:
        """Evaluate them for GET or HEAD of a file: 200 goes on, 304 and 412 are the answer."""
        if not self._as_was(version):
            return 412
        if self.if_none_match is not None:
            return 304 if self.if_none_match.match(version, weakly=True) else 200
        since = self.if_modified_since
        return 304 if since is not None and version.changed_since(since) is False else 200

    def for_writing(self, version: Version | None) -> bool:
        """Whether PUT or DELETE may go on; ``version`` is None where there is no file.

        Raises UnreadableCondition.
        """
        if not self._as_was(version):
            return False
        if self.if_none_match is None:
            return True
        if self.if_none_match.match(version, weakly=True):
            return False
        if not self.if_none_match.readable:
            raise UnreadableCondition("If-None-Match is neither * nor a list of quoted tags")
        return True

    def _as_was(self, version: Version | None) -> bool:
        """If-Match, and only without it If-Unmodified-Since (13.2.2)."""
        if self.if_match is not None:
            return self.if_match.match(version, weakly=False)
        since = self.if_unmodified_since
        return since is None or version is None or not version.changed_since(since)


def range_applies(if_range: Sequence[str], version: Version) -> bool:
    """Tell whether the Range header counts: the client's copy must be of this very version.

    ``if_range`` are the lines of If-Range. Only a strong tag or the exact date will do (13.1.5).
    """
    if not if_range:
        return True
    if len(if_range) > 1:
        return False
    text = if_range[0].strip(" \t")
    if text == f'"{version.tag}"':
        return True
    return version.modified is not None and parse_http_date(text) == version.modified
