"""The file that is downloaded, and whether what arrived is that file.

Everything here works with small buffers: this process must stay lean and the caches alike for all.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.model import MIB
from regather.coding.codec import codec_for

METALINK_PIECE = 8 * MIB
_FRAGMENT = re.compile(r"file_fragment_([0-9]+)\.dat")


@dataclass(frozen=True, slots=True)
class Original:
    """The file on the servers."""

    path: Path
    size: int
    sha256: str
    pieces: tuple[str, ...]
    """SHA-256 of every METALINK_PIECE bytes."""


def generate(path: Path, size: int) -> Original:
    """Write ``size`` random bytes to ``path``."""
    whole, pieces = hashlib.sha256(), []
    with path.open("wb") as file:
        for start in range(0, size, METALINK_PIECE):
            piece = hashlib.sha256()
            for at in range(start, min(start + METALINK_PIECE, size), MIB):
                some = os.urandom(min(MIB, size - at))
                whole.update(some)
                piece.update(some)
                file.write(some)
            pieces.append(piece.hexdigest())
    return Original(path, size, whole.hexdigest(), tuple(pieces))


def differs(original: Path, copies: Sequence[Path]) -> str:
    """Compare ``copies``, joined in order, with ``original`` byte for byte; say what differs."""
    ours, theirs = memoryview(bytearray(MIB)), memoryview(bytearray(MIB))
    at = 0
    with original.open("rb", buffering=0) as expected:
        for copy in copies:
            try:
                file = copy.open("rb", buffering=0)
            except OSError as error:
                return f"no output: {error}"
            with file:
                while count := file.readinto(theirs):
                    filled = 0
                    while filled < count and (got := expected.readinto(ours[filled:count])):
                        filled += got
                    if filled < count:
                        return f"too long: the original ends at {at + filled}"
                    if ours[:count] != theirs[:count]:
                        return f"wrong bytes between {at} and {at + count}"
                    at += count
        if expected.read(1):
            return f"too short: {at} bytes"
    return ""


def fragments(folder: Path) -> list[Path]:
    """Return one copy of each fragment below ``folder``, in order."""
    found: dict[int, Path] = {}
    for path in sorted(folder.glob("server*/file_fragment_*.dat")):
        if match := _FRAGMENT.fullmatch(path.name):
            found.setdefault(int(match[1]), path)
    return [found[number] for number in sorted(found)]


def parity_differs(folder: Path) -> str:
    """Compute the parity of the fragments below ``folder`` again; say what differs."""
    data = fragments(folder)
    parity = sorted(folder.glob("server*/file_parity_*.dat"))
    if not data or not parity:
        return "no parity"
    code = codec_for(len(data), len(parity))
    views = [memoryview(bytearray(MIB)) for _ in (*data, *parity, *parity)]
    members, made = views[: -len(parity)], views[-len(parity) :]
    with ExitStack() as stack:
        files = [stack.enter_context(path.open("rb", buffering=0)) for path in (*data, *parity)]
        while True:
            counts = []
            for file, view in zip(files, members, strict=True):
                counts.append(file.readinto(view) or 0)
                view[counts[-1] :] = bytes(MIB - counts[-1])
            code.encode(members[: len(data)], made)
            if any(a != b for a, b in zip(members[len(data) :], made, strict=True)):
                return "wrong parity"
            if any(count != max(counts) for count in counts[len(data) :]):
                return "parity is not as long as the longest fragment"
            if max(counts) == 0:
                return ""


def empty(folder: Path) -> None:
    """Make ``folder`` exist and be empty."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
