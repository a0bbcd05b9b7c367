"""Mirrors of one whole file: asked, and compared.

What tells mirrors of one file from those of another, or of another version: the size; samples at
the start, in the middle and at the end; and what their servers say its hash is. Entity tags say
nothing here, for every server makes its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from regather.checksum import Checksum, agree
from regather.errors import UsageError
from regather.metalink.headers import digests, links
from regather.names import split_url
from regather.schemes import HTTP
from regather.sources.addresses import address_of
from regather.sources.probing import Prober
from regather.transport import Askable, Look, RequestFailed
from regather.transport.ranges import read_range
from regather.units import counted

_SAMPLE = 16 << 10
"""Bytes that are compared at each of three places."""
_GRACE = 2.0
"""Seconds that mirrors may take longer than the first one to answer."""
_MOST_DUPLICATES = 8


class MirrorInfo(Struct, frozen=True):
    """One mirror, as it was found."""

    url: str
    look: Look
    samples: tuple[bytes, ...] = ()
    """From the middle and the end; none where it knows no ranges."""
    claims: tuple[Checksum, ...] = ()
    """What its server says that the file hashes to."""

    @property
    def size(self) -> int:
        """Bytes of the file; 0 where that is not told."""
        return self.look.size or 0

    def denies(self, checksums: Sequence[Checksum]) -> bool:
        """Whether its server itself says that it has another file."""
        return not agree(self.claims, checksums)

    def confirms(self, checksums: Sequence[Checksum]) -> bool:
        """Whether its server says that it has the file with one of these."""
        wanted = {(c.algorithm, c.digest) for c in checksums}
        return any((c.algorithm, c.digest) in wanted for c in self.claims)

    def differs_from(self, other: MirrorInfo) -> str:
        """How its file differs from that of another mirror; empty: as far as was seen, not."""
        if self.size != other.size:
            return f"has {counted(self.size, 'byte')}, not {other.size}"
        # Some send less than they are asked for.
        alike = min(len(self.look.start), len(other.look.start))
        if self.look.start[:alike] != other.look.start[:alike]:
            return "differs at the beginning"
        if self.samples and other.samples and self.samples != other.samples:
            return "differs in the middle or at the end"
        if not agree(self.claims, other.claims):
            return "has another hash, as its server reports"
        return ""


# -- asking -----------------------------------------------------------------------------------


def checked_mirrors(texts: Sequence[str]) -> list[str]:
    """URLs and paths of mirrors as the user names them, each once. Raises UsageError."""
    addresses = [address_of(text) for text in texts]
    for one in addresses:
        if one.is_base and one.url is not None and not one.url.query:
            raise UsageError(
                f"{one}: that is a server, not a file",
                help="give the URL of the file; for a source of a manifest use --server",
            )
    return list(dict.fromkeys(one.text for one in addresses))


def survey(
    urls: Sequence[str], asking: Prober, *, again: bool = True
) -> tuple[list[MirrorInfo], dict[str, RequestFailed]]:
    """Look at all mirrors at once; returns what was seen, in order, and those that failed.

    What failed for a while only is asked ``again``.
    """
    many = len(urls) > 1
    answers = asking.all(urls, lambda c, url: _look(c, url, many=many), again=again, grace=_GRACE)
    seen, failed = [], {}
    for url, answer in zip(urls, answers, strict=True):
        if isinstance(answer, RequestFailed):
            failed[url] = answer
        else:
            seen.append(answer)
    return seen, failed


def _look(connection: Askable, url: str, *, many: bool) -> MirrorInfo:
    look = connection.look(url, _SAMPLE)
    samples: tuple[bytes, ...] = ()
    if many and look.ranged and look.size is not None and look.size > _SAMPLE:
        places = (look.size // 2, max(0, look.size - _SAMPLE))
        samples = tuple(
            b"".join(map(bytes, read_range(connection, url, at, min(at + _SAMPLE, look.size))))
            for at in places
        )
    claims: dict[str, Checksum] = {}
    for where, headers in look.heads:
        for claim in digests(headers, where):
            claims.setdefault(claim.algorithm, claim)
    return MirrorInfo(url, look, samples, tuple(claims.values()))


def duplicates_of(seen: Sequence[MirrorInfo], known: Sequence[str]) -> list[str]:
    """Further mirrors that the servers themselves name (RFC 6249), the best first."""
    safe = all(url.lower().startswith("https:") for url in known)
    found: dict[str, None] = {}
    for one in seen:
        for where, headers in one.look.heads:
            for url in links(headers, where).duplicates:
                if _usable(url) and url not in known and not (safe and url.startswith("http:")):
                    found[url] = None
    return list(found)[:_MOST_DUPLICATES]


def _usable(url: str) -> bool:
    try:
        return "@" not in split_url(url, HTTP).netloc and url.isprintable()
    except ValueError:
        return False


# -- comparing --------------------------------------------------------------------------------


def grouped(seen: Sequence[MirrorInfo], checksums: Sequence[Checksum]) -> list[list[MirrorInfo]]:
    """Mirrors that agree with each other, put together: the group to believe in first.

    Those come first of which a server confirms a checksum, last those that deny it, and the
    larger group before the smaller.
    """
    groups: list[list[MirrorInfo]] = []
    for one in seen:
        denies = one.denies(checksums)
        for group in groups:
            if denies == group[0].denies(checksums) and not any(map(one.differs_from, group)):
                group.append(one)
                break
        else:
            groups.append([one])
    groups.sort(
        key=lambda group: (
            group[0].denies(checksums),
            not any(one.confirms(checksums) for one in group),
            -len(group),
        )
    )
    return groups


def left_out(group: Sequence[MirrorInfo], groups: Sequence[Sequence[MirrorInfo]]) -> list[str]:
    """A line on each mirror that is not in ``group``."""
    lines = []
    for other in groups:
        if other is group:
            continue
        for one in other:
            why = next((d for g in group if (d := one.differs_from(g))), "has another file")
            agreed = "the only other source" if len(group) == 1 else f"{len(group)} that agree"
            lines.append(f"{one.url} is not used: it {why} (unlike {agreed})")
    return lines
