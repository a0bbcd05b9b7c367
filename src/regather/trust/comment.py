"""The trusted comment: what is signed beside the bytes of a manifest.

    timestamp:1767225600 TAB file:NAME.regather.json TAB hashed TAB digest:HEX TAB version:N

minisign writes the first three by itself; a signature without the others is as good. Its version is
the time then.
"""

from __future__ import annotations

import re
import time

from msgspec import Struct

from regather.trust.signature import SignatureFlaw

MAX_VERSION = 2**53 - 1
_NUMBER = re.compile("0|[1-9][0-9]{0,15}")
_HEX = re.compile("[0-9a-f]{64}")


class TrustedComment(Struct, frozen=True):
    """What a publisher says of a manifest."""

    file: str
    """The name of the manifest."""
    time: int
    """When it was signed, in seconds since 1970."""
    version: int
    """Grows with each new content of that name."""
    digest: str = ""
    """Of the manifest; empty where minisign itself has signed it."""

    @property
    def when(self) -> str:
        """The time as ISO 8601 has it, in UTC."""
        try:
            return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.time))
        except (ValueError, OverflowError, OSError):  # far away
            return f"{self.time} s after 1970"

    @property
    def text(self) -> str:
        """The comment."""
        fields = [f"timestamp:{self.time}", f"file:{self.file}", "hashed"]
        return "\t".join([*fields, f"digest:{self.digest}", f"version:{self.version}"])


def parse_comment(text: str) -> TrustedComment:
    """Read a trusted comment, which was verified before. Raises SignatureFlaw."""
    found: dict[str, str] = {}
    for field in text.split("\t"):
        key, colon, value = field.partition(":")
        if colon and found.setdefault(key, value) != value:
            raise SignatureFlaw(f"the comment of its signature has two values of {key[:20]}")
    file, digest = found.get("file", ""), found.get("digest", "")
    stamp = found.get("timestamp", "")
    version = found.get("version", stamp)
    if not file or not _is_number(stamp) or not _is_number(version):
        raise SignatureFlaw("the comment of its signature names no file, time or version")
    if digest and not _HEX.fullmatch(digest):
        raise SignatureFlaw("the comment of its signature has an invalid digest")
    return TrustedComment(file, int(stamp), int(version), digest)


def _is_number(text: str) -> bool:
    return _NUMBER.fullmatch(text) is not None and int(text) <= MAX_VERSION
